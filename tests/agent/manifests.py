"""The manifests as a user gets them: printed by the program, read back by another reader of YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from typer.testing import CliRunner

from netpol.cli.main import program

if TYPE_CHECKING:
    from pathlib import Path

Manifest = dict[str, Any]
WHERE = ("--nodes", "192.0.2.0/24", "--api-server", "198.51.100.7:6443")
"""Where nodes and API server are, so that no cluster is asked."""


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(program(["deploy"]), ["deploy", *arguments])
    assert result.exit_code == 0, result.output or result.exception
    return result.stdout


def complaints(*arguments: str) -> str:
    """What it says on stderr."""
    return CliRunner().invoke(program(["deploy"]), ["deploy", *arguments]).stderr


def read(text: str) -> list[Manifest]:
    return list(YAML(typ="safe", pure=True).load_all(text))


def deployed(*arguments: str) -> list[Manifest]:
    return read(printed(*WHERE, *arguments))


def below(folder: Path) -> dict[str, list[Manifest]]:
    return {path.name: read(path.read_text("utf-8")) for path in sorted(folder.iterdir())}


def one(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    (found,) = [each for each in manifests if each["kind"] == kind and name in {"", each["metadata"]["name"]}]
    return found


def pod_of(controller: Manifest) -> Manifest:
    """The pod that a controller makes."""
    template = controller["spec"]["template"]
    name = controller["metadata"]["name"]
    return {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": name}}


def path_of(manifest: Manifest) -> str:
    """Where an object of the manifests is."""
    plurals = {"NetworkPolicy": "networkpolicies", "PriorityClass": "priorityclasses"}
    kind, version, metadata = manifest["kind"], manifest["apiVersion"], manifest["metadata"]
    plural = plurals.get(kind, f"{kind.lower()}s")
    place = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"/{'apis' if '/' in version else 'api'}/{version}{place}/{plural}/{metadata['name']}"
