"""Findings as data: what was found, where it stands in the manifest, and what to do about it.

A check has an id that never changes, so that a gate, a suppression or a dashboard can rely on it. How a finding looks
on a terminal, in SARIF or in a pull request is none of its business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netpol.model.policy import NetworkPolicy, Rule
    from netpol.model.tiers import TierPolicy, TierRule
    from netpol.policy.verdict import Way

FieldPath = tuple[str | int, ...]
"""From a document's root: `("spec", "ingress", 1, "from", 0)`."""

WAYS: tuple[Way, Way] = ("ingress", "egress")


class Severity(IntEnum):
    """How much a finding matters; a higher number matters more."""

    INFO = 1
    """Worth a look: right in many clusters."""
    WARNING = 2
    """The policy probably does something else than its author thinks."""
    ERROR = 3
    """Part of the policy can never have an effect, whatever the cluster holds."""

    @property
    def label(self) -> str:
        """The word used in every output."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A policy and where it was written.

    Attributes:
        place: File, document, item of a list; empty where it was not read from anywhere.
        data: The document before defaulting, which tells an empty list from an absent one.
    """

    policy: NetworkPolicy
    place: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def isolates(self, way: Way) -> bool:
        """Whether its rules of this direction have an effect."""
        return self.policy.isolates_ingress if way == "ingress" else self.policy.isolates_egress

    def all_rules(self, way: Way) -> tuple[Rule, ...]:
        """The rules of one direction, of effect or not."""
        return self.policy.ingress if way == "ingress" else self.policy.egress

    def rules(self) -> Iterator[tuple[Way, FieldPath, Rule]]:
        """The rules that have an effect, each with its direction and path."""
        for way in WAYS:
            if self.isolates(way):
                for index, rule in enumerate(self.all_rules(way)):
                    yield way, ("spec", way, index), rule


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenTier:
    """A cluster-wide policy and where it was written; the attributes are those of `Written`."""

    policy: TierPolicy
    place: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def all_rules(self, way: Way) -> tuple[TierRule, ...]:
        """The rules of one direction, in the order in which they are asked."""
        return self.policy.ingress if way == "ingress" else self.policy.egress

    def rules(self) -> Iterator[tuple[Way, FieldPath, TierRule]]:
        """All rules, each with its direction and path."""
        for way in WAYS:
            for index, rule in enumerate(self.all_rules(way)):
                yield way, ("spec", way, index), rule


AnyWritten = Written | WrittenTier


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that can be found.

    Attributes:
        id: Stable: lower-case words joined by hyphens.
        severity: What a finding has unless the cluster makes it worse.
        title: What it is, in a few words.
        meaning: Why it matters, with the rule that it rests on.
        remedy: What to do about it.
    """

    id: str
    severity: Severity
    title: str
    meaning: str
    remedy: str

    def found(
        self,
        written: AnyWritten,
        path: FieldPath,
        message: str,
        *,
        severity: Severity | None = None,
        remedy: str = "",
    ) -> Finding:
        """A finding of this check."""
        return Finding(
            check=self,
            severity=severity or self.severity,
            policy=str(written.policy),
            field=path,
            place=written.place,
            message=message,
            remedy=remedy or self.remedy,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something to look at.

    Attributes:
        policy: `namespace/name`, or `Kind/name` of a cluster-wide one.
        field: The part of the policy that it is about.
        place: File, document, item of a list.
        message: One sentence without a full stop. Holds names from manifests as they are: who prints it, escapes it.
        remedy: One sentence.
    """

    check: Check
    severity: Severity
    policy: str
    field: FieldPath
    place: tuple[str, ...]
    message: str
    remedy: str

    @property
    def path(self) -> str:
        """The field as people write it."""
        return path_text(self.field)

    @property
    def file(self) -> str:
        """Where it was read from, empty where that is not known."""
        return self.place[0] if self.place else ""


def path_text(path: FieldPath) -> str:
    """`spec.ingress[1].from[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
