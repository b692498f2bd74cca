"""Why one connection is allowed or denied, step by step, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from netpol.model.flow import Address
    from netpol.model.inventory import Pod
    from netpol.model.policy import NetworkPolicy
    from netpol.model.tiers import Policy
    from netpol.policy.verdict import RuleMatch, RuleMiss, TierMatch, TierStep, Verdict, Way
    from netpol.review.ends import EndAsked, PortAsked

    Party = Pod | Address


@dataclass(frozen=True, slots=True, kw_only=True)
class SideExplained:
    """What the policies of one end say.

    Attributes:
        end: A pod that the others of its case are like, or an address that no pod has.
        node: The node whose address the end is, empty for anything else.
        isolated_by: The policies that isolate it in this direction.
        others: Policies that select it for the other direction only.
        ignored: Policies that have its labels in their selector, and are not for it: it is a hostNetwork pod.
        match: The rule that admits the connection.
        misses: Where none does: each rule of the isolating policies.
        admin: What the Admin tier says, None where none of its policies selects the end.
        baseline: The same of the Baseline tier.
        decided_by: The cluster-wide rule that decided, None where NetworkPolicies or nobody did.
    """

    way: Way
    end: Party
    node: str = ""
    isolated_by: tuple[NetworkPolicy, ...] = ()
    others: tuple[NetworkPolicy, ...] = ()
    ignored: tuple[Policy, ...] = ()
    match: RuleMatch | None = None
    misses: tuple[RuleMiss, ...] = ()
    admin: TierStep | None = None
    baseline: TierStep | None = None
    decided_by: TierMatch | None = None

    @property
    def reasons(self) -> Hashable:
        """What makes two sides the same explanation."""
        policies = (self.isolated_by, self.others, self.ignored)
        names = tuple(tuple(map(str, found)) for found in policies)
        tiers = tuple(
            step and (str(step.match), *map(str, (*step.policies, *step.possible)))
            for step in (self.admin, self.baseline)
        )
        return names, str(self.match), tuple(map(str, self.misses)), tiers


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One answer, and for whom it holds.

    Attributes:
        pairs: (sources, destinations): it holds from each of the sources to each of the destinations beside it.
        port: The port at the destination.
        verdict: What the judge says.
        sides: The source's egress, then the destination's ingress; none where no policy is asked.
    """

    pairs: tuple[tuple[tuple[Party, ...], tuple[Party, ...]], ...]
    port: int
    verdict: Verdict
    sides: tuple[SideExplained, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer to one question.

    Attributes:
        cases: At least one; more than one where replicas differ.
        notes: What should be known beside.
    """

    source: EndAsked
    destination: EndAsked
    port: PortAsked
    cases: tuple[Case, ...]
    notes: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether it is allowed between all replicas."""
        return all(case.verdict.allowed for case in self.cases)

    @property
    def differs(self) -> bool:
        """Whether some replicas may connect and others may not."""
        return len({case.verdict.ruling for case in self.cases}) > 1
