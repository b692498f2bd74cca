"""What `learn` says on stderr of the policies that there were, the most important first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SHOWN: Final = 10
"""Lines of a kind; summary.json has all."""


def existing_lines(existing: Mapping[str, Any]) -> Iterator[str]:
    """What a person must look at; not escaped yet."""
    yield from _listed(
        [_denied(item) for item in existing["denied_today"]],
        "Worked in the capture, and is denied by the policies of today, {count} in all:",
    )
    yield from _listed(
        [_keeps_open(item) for item in existing["keeps_open"]],
        "Kept open by policies that netpol did not write, {count} in all; what these allow, no other policy closes:",
    )
    yield from _listed(
        [_unexercised(item) for item in existing["unexercised"] if not item["managed"]],
        "Rules that nothing exercised, {count} in all; candidates for removal:",
    )
    yield from _listed(
        [f"{name}." for name in existing["redundant"]],
        "Superfluous once these policies are applied, {count} in all; they can be deleted together:",
    )
    yield from _listed(
        [
            f"{name}: kubectl delete networkpolicy -n {' '.join(name.split('/'))}"
            for name in existing["pruned"]["policies"]
        ],
        "Pruned, {count} in all; applying the others does not delete them from a cluster:",
    )
    yield from _listed(
        [
            f"{new}: {old} is the name of a policy that netpol did not write."
            for new, old in existing["named_anew"].items()
        ]
        + [
            f"{new}: what was {old} is for other pods than the policy that now has this name."
            for old, new in existing["renamed"].items()
        ],
        "Named differently, {count} in all:",
    )


def existing_figures(existing: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Lines of the table of counts."""
    policies = existing["policies"]
    own = f"{policies['managed']:,} of netpol's, {policies['hand_written']:,} others"
    wide = f", {policies['cluster_wide']:,} cluster-wide" if policies["cluster_wide"] else ""
    unseen = existing["allowed_not_observed"]["total"]
    yield "existing", f"{own}{wide}; they allow {unseen:,} connections between workloads that nobody made"
    kept, pruned = existing["kept"], existing["pruned"]
    if kept["rules"] or kept["policies"]:
        counts = f"{len(kept['rules']):,} rules and {len(kept['policies']):,} whole policies"
        yield "kept", f"{counts} of netpol's that nothing exercised; --prune drops them"
    if pruned["rules"] or pruned["policies"]:
        yield "pruned", f"{sum(pruned['rules'].values()):,} rules and {len(pruned['policies']):,} whole policies"


def _listed(lines: Sequence[str], heading: str) -> Iterator[str]:
    if lines:
        yield heading.format(count=len(lines))
        yield from (f"  {line}" for line in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield f"  and {len(lines) - SHOWN} more: -d DIR writes them all to summary.json"


def _denied(item: Mapping[str, Any]) -> str:
    names = ", ".join(item["policies"])
    still = sorted(set(item["ports"]) - set(item["allowed_after"]))
    if not still:
        outlook = "It will be allowed"
    elif item["denied_after_by"]:
        which = f"{', '.join(still)} stays denied" if item["allowed_after"] else "It stays denied"
        outlook = f"{which}, by {', '.join(item['denied_after_by'])}"
    else:
        outlook = "Whether it will be allowed is not defined"
    what = f"{item['source']} to {item['destination']} {', '.join(item['ports'])}"
    return f"{what}: {item['connections']:,} connections; {item['blocked_by']} denied by {names}. {outlook}."


def _keeps_open(item: Mapping[str, Any]) -> str:
    first = item["examples"][0]
    more = (
        f" and {item['connections'] - 1:,} more that nobody made" if item["connections"] > 1 else ", which nobody made"
    )
    return f"{item['policy']}: {', '.join(item['rules'])}: {first['source']} to {first['destination']}{more}."


def _unexercised(item: Mapping[str, Any]) -> str:
    vain = f", but {item['attempts']:,} connections were tried in vain" if item["attempts"] else ""
    return f"{item['policy']}: {item['rule']}{vain}."
