"""Kubernetes objects as tests write them: only what matters is said."""

from __future__ import annotations

from typing import Any

SECOND = 10**9
NOON = 1_767_268_800 * SECOND  # 2026-01-01T12:00:00Z


def at(second: int) -> str:
    return f"2026-01-01T12:{second // 60:02d}:{second % 60:02d}Z"


def pod(name: str, ip: str = "", *, uid: str = "", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", **({"uid": uid} if uid else {}), **more.pop("metadata", {})}
    status = {**({"podIP": ip} if ip else {}), **more.pop("status", {})}
    spec = {"containers": [{"name": "c"}], **more.pop("spec", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status, **more}


def owned(kind: str, name: str, *, controller: bool = True) -> dict[str, Any]:
    return {
        "ownerReferences": [{"apiVersion": "x/v1", "kind": kind, "name": name, "uid": "u", "controller": controller}]
    }


def thing(kind: str, name: str, version: str = "apps/v1", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", **more.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def template(labels: dict[str, str], port: int = 80) -> dict[str, Any]:
    container = {"name": "c", "ports": [{"containerPort": port}]}
    return {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
