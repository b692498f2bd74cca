"""Names of generated policies: the workload's own where possible, valid, told apart, and the same in every run."""

from __future__ import annotations

import re
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING

from netpol.model.labels import is_dns_subdomain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from netpol.model.inventory import WorkloadRef

DEFAULT_DENY = "default-deny"
"""The name of a namespace's default-deny policy; no workload's policy is called so."""

LONGEST = 200
"""Characters. The API allows 253, file systems 255 bytes with the ending; this leaves room for both."""

_UNFIT = re.compile(r"[^a-z0-9.-]+")


def policy_names(
    workloads: Iterable[WorkloadRef], foreign: Collection[tuple[str, str]] = frozenset()
) -> dict[WorkloadRef, str]:
    """A policy name for every workload, unique in its namespace.

    The workload's name; with its kind where two kinds share it. A name that had to be changed to be valid, shortened,
    or that is taken ends in a hash of what it stands for. `workloads` should be all of the cluster, seen or not, so
    that the traffic of another workload renames nothing.

    Args:
        workloads: In any order.
        foreign: (namespace, name) of policies that others wrote: no name is one of these.
    """
    workloads = sorted(set(workloads))
    sharing = Counter((workload.namespace, workload.name) for workload in workloads)
    names: dict[WorkloadRef, str] = {}
    # Names that can be kept are given first: what must give way to another name never takes one.
    for must_change in (False, True):
        taken = {*foreign, *((workload.namespace, name) for workload, name in names.items())}
        for workload in workloads:
            if workload in names:
                continue
            kind = f"-{workload.kind.lower()}" if sharing[workload.namespace, workload.name] > 1 else ""
            wanted = workload.name + kind
            fits = len(wanted) <= LONGEST and is_dns_subdomain(wanted) and wanted != DEFAULT_DENY
            if fits and (workload.namespace, wanted) not in taken:
                names[workload] = wanted
                taken.add((workload.namespace, wanted))
            elif must_change:
                place = workload.namespace
                names[workload] = another_name(wanted, str(workload), lambda name: (place, name) in taken)  # noqa: B023
                taken.add((place, names[workload]))
    return names


def another_name(name: str, identity: str, is_taken: Callable[[str], bool]) -> str:
    """The name with a hash of what it stands for, which nothing else has.

    Args:
        name: What it would be called, valid or not.
        identity: What it stands for; the same identity gets the same name where that is free.
        is_taken: Whether a name is another's.
    """
    found = _hashed(name, identity)
    while is_taken(found):
        identity += " again"
        found = _hashed(name, identity)
    return found


def numbered(name: str, index: int) -> str:
    """The name of a workload's policy number `index`, where it needs several selectors; the first keeps the name."""
    return name if index == 0 else f"{name}-{index + 1}"


def _hashed(name: str, identity: str) -> str:
    digest = sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    parts = (part.strip("-") for part in _UNFIT.sub("-", name.lower())[: LONGEST - len(digest) - 1].split("."))
    readable = ".".join(part for part in parts if part)
    candidate = f"{readable}-{digest}"
    return candidate if is_dns_subdomain(candidate) else f"workload-{digest}"
