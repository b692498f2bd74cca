"""What has to be known about cluster-wide policies beside lists and differences, said on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.cli.observe import warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.model.tiers import Policy


def warn_of_names(policies: Sequence[Policy]) -> None:
    """Says how many rules name domains, whose addresses nobody here knows: lists hold what is certainly allowed."""
    from netpol.model.tier_peers import DomainNamesPeer
    from netpol.model.tiers import TierPolicy

    named = {
        (str(policy), index)
        for policy in policies
        if isinstance(policy, TierPolicy)
        for index, rule in enumerate(policy.egress)
        if any(isinstance(peer, DomainNamesPeer) for peer in rule.peers)
    }
    if named:
        where = ", ".join(sorted({policy for policy, _ in named}))
        warn(
            f"which addresses domain names have is not known here: what rules that name some ({len(named):,}, "
            f"of {where}) allow by that alone is left out"
        )


def warn_of_missing_tiers(old: Sequence[Policy], new: Sequence[Policy]) -> None:
    """Says that one side of a comparison alone has cluster-wide policies: they often live elsewhere."""
    from netpol.model.tiers import TierPolicy

    counts = [sum(isinstance(policy, TierPolicy) for policy in policies) for policies in (old, new)]
    if (counts[0] == 0) != (counts[1] == 0):
        which, other = ("OLD", "NEW") if counts[0] else ("NEW", "OLD")
        warn(
            f"cluster-wide policies in {which}: {max(counts):,}, in {other}: none. {other} is compared without any; "
            "name them there too if they stay in force"
        )
