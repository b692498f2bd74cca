"""Whom an allowlist is for: one object for each selector of a workload, or one short word for a workload."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from netpol.dialects.allowlists.entries import by_workload
from netpol.policy.generate_names import numbered, policy_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netpol.dialects.allowlists.values import Options
    from netpol.model.inventory import WorkloadRef
    from netpol.model.labels import LabelSelector
    from netpol.model.outside import Need

LONGEST_NAME: Final = 253
SUFFIX: Final = "-outside"
"""Of every object's name: `netpol learn` writes others for the same workloads."""

_OTHER = re.compile(r"[^A-Za-z0-9_]")
_DIGEST: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One object of a namespace.

    Attributes:
        name: Of the object, unique in its namespace.
        selector: The pods.
        needs: Of the workload, in order.
    """

    workload: WorkloadRef
    name: str
    selector: LabelSelector
    needs: tuple[Need, ...]


def subjects(needs: Sequence[Need], options: Options, remarks: list[str]) -> Iterator[Subject]:
    """An object for each selector of each workload; a workload that none names is left out with a remark."""
    names = policy_names({need.workload for need in needs})
    for workload, own in by_workload(needs):
        selectors = options.selectors.get(workload, ())
        if not selectors:
            remarks.append(f"{workload} is left out: no lasting labels name its pods and no others")
        for index, selector in enumerate(selectors):
            name = _limited(f"{numbered(names[workload], index)}{SUFFIX}", LONGEST_NAME, ".-")
            yield Subject(workload=workload, name=name, selector=selector, needs=tuple(own))


def word(workload: WorkloadRef, longest: int) -> str:
    """A word of ASCII letters, digits and `_` that begins with a letter: the same for the same workload, no other's.

    What cannot stand in it is replaced; a digest tells those apart that become alike, and those that are cut.
    """
    exact = f"{workload.namespace}_{workload.name}_{workload.kind}"
    plain = _OTHER.sub("_", exact)
    if plain == exact and plain[:1].isalpha() and len(plain) <= longest:
        return plain
    digest = sha256(exact.encode()).hexdigest()[:_DIGEST]
    return f"w_{plain[: longest - _DIGEST - 3]}_{digest}"


def _limited(name: str, longest: int, trimmed: str) -> str:
    if len(name) <= longest:
        return name
    digest = sha256(name.encode()).hexdigest()[:_DIGEST]
    return f"{name[: longest - _DIGEST - 1].rstrip(trimmed)}-{digest}"
