"""Everything that `netpol deploy` prints, in the order in which a cluster needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.agent.deploy_agent import agent
from netpol.agent.deploy_hub import hub
from netpol.agent.deploy_rights import rights
from netpol.agent.deploy_tls import tls
from netpol.dialects.block import to_text
from netpol.dialects.files import kustomization

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.agent.deploy_settings import Settings
    from netpol.dialects.block import Document

FILES: Final = ("namespace.yaml", "rights.yaml", "certificate.yaml", "network-policy.yaml", "hub.yaml", "agent.yaml")
SEPARATOR: Final = "---\n"
KUSTOMIZATION: Final = "kustomization.yaml"


def parts(settings: Settings, policies: str) -> Mapping[str, str]:
    """Names of files to texts of one document or more.

    Args:
        settings: What they say.
        policies: Those for netpol's own pods, as YAML; may be empty.
    """
    texts = (
        _texts([_namespace(settings)]),
        _texts(rights(settings)),
        _texts(tls(settings)),
        policies,
        _texts(hub(settings)),
        _texts(agent(settings)),
    )
    return {name: text for name, text in zip(FILES, texts, strict=True) if text}


def stream(found: Mapping[str, str]) -> str:
    """All of it in one."""
    return SEPARATOR.join(found.values())


def folder(found: Mapping[str, str]) -> Mapping[str, str]:
    """Names of files to texts, with the kustomization that names them."""
    return {KUSTOMIZATION: kustomization(found), **found}


def _texts(documents: Iterable[Document]) -> str:
    return SEPARATOR.join(map(to_text, documents))


def _namespace(settings: Settings) -> Document:
    """Pod security is a namespace's: the agents need the level that forbids nothing; the hub keeps to `restricted`."""
    level = "pod-security.kubernetes.io"
    labels = {**settings.labels, f"{level}/enforce": "privileged", f"{level}/warn": "privileged"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": settings.namespace, "labels": labels}}
