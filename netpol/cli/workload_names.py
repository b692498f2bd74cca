"""Workloads as people name them on the command line: `ns/name` or `ns/name[Kind]`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from netpol.errors import UsageError
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.model.inventory import Inventory, WorkloadRef

_NAMED: Final = re.compile(r"([^/\[\]]+)/([^/\[\]]+)(?:\[([A-Za-z]+)\])?")


def workloads_named(texts: Iterable[str], inventory: Inventory) -> frozenset[WorkloadRef]:
    """All workloads that the texts name; without a kind, of every kind.

    Raises:
        UsageError: A text names no workload of the cluster.
    """
    known = {pod.workload for pod in inventory.pods} | inventory.workloads.keys()
    found: set[WorkloadRef] = set()
    for text in texts:
        match = _NAMED.fullmatch(text)
        if match is None:
            raise UsageError(f"{shown(text)} names no workload", remedy="Write ns/name or ns/name[Kind]: shop/web")
        namespace, name, kind = match.groups()
        meant = {
            ref
            for ref in known
            if (ref.namespace, ref.name) == (namespace, name) and (kind is None or ref.kind == kind)
        }
        if not meant:
            raise UsageError(
                f"the cluster has no workload {shown(text)}",
                remedy="Name the controller, not a pod of it; `netpol flows` prints workloads as they are named here",
            )
        found |= meant
    return frozenset(found)
