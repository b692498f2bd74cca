"""Documents as files: where each lies below one folder, and the kustomization that names them all."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from netpol.dialects.scalars import scalar

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_STEM = 200
"""Characters of a file name before `.yaml`: file systems allow 255 bytes, the API names of 253."""


def files_of(documents: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Relative paths to texts: `kustomization.yaml` and `NAMESPACE/NAME.yaml` for each document, sorted.

    Args:
        documents: (namespace, name, text). Namespaces and names are valid DNS names in lower case (`NetworkPolicy` sees
            to it), so that no path leaves the folder and none differs from another in case only: they hold no slash
            and do not begin with a dot.

    Raises:
        ValueError: Two documents have the same namespace and name.
    """
    files: dict[str, str] = {}
    for namespace, name, text in documents:
        path = f"{namespace}/{_stem(name)}.yaml"
        if path in files:
            raise ValueError(f"two policies are called {namespace}/{name}")
        files[path] = text
    paths = sorted(files)
    return {"kustomization.yaml": kustomization(paths), **{path: files[path] for path in paths}}


def kustomization(paths: Iterable[str]) -> str:
    """The kustomization that names these files."""
    head = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization"]
    listed = [f"  - {scalar(path)}" for path in sorted(paths)]
    return "\n".join([*head, *(["resources:", *listed] if listed else ["resources: []"])]) + "\n"


def _stem(name: str) -> str:
    if len(name) <= LONGEST_STEM:
        return name
    digest = sha256(name.encode()).hexdigest()[:16]
    return f"{name[: LONGEST_STEM - len(digest) - 1]}-{digest}"
