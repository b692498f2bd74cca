"""What `learn` says on stderr of the policies that there were, the most important first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SHOWN: Final = 10
"""Lines of a kind; summary.json has all."""


def existing_lines(existing: Mapping[str, Any]) -> Iterator[str]:
    """What a person must look at; not escaped yet."""
    # What stays denied first: nothing that is done here mends that.
    denied = sorted(existing["denied_today"], key=lambda item: len(item["allowed_after"]) == len(item["ports"]))
    yield from _listed(
        [_denied(item) for item in denied],
        "Worked in the capture, and is denied by the policies of today, {count} in all:",
    )
    yield from _listed(
        [_keeps_open(item) for item in existing["keeps_open"]],
        "Kept open by policies that netpol did not write, {count} in all; learned ones cannot close it:",
    )
    yield from _listed(
        [_unexercised(item) for item in existing["unexercised"] if not item["managed"]],
        "Rules that nothing exercised, {count} in all; candidates for removal:",
    )
    yield from _listed(
        existing["redundant"],
        "Superfluous once these policies are applied, {count} in all; they can be deleted together:",
    )
    yield from _listed(
        [_deletion(*name.split("/")) for name in existing["pruned"]["policies"]],
        "Pruned, {count} in all; applying the others does not delete these from a cluster:",
    )
    anew, renamed = existing["named_anew"].items(), existing["renamed"].items()
    yield from _listed(
        [
            *(f"{name}: a policy that netpol did not write is called {own}" for name, own in anew),
            *(f"{name}: what was {own} until now is for other pods than the learned {own}" for own, name in renamed),
        ],
        "Named otherwise than their workloads, {count} in all:",
    )


def existing_figures(existing: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Lines of the table of counts."""
    policies = existing["policies"]
    own = f"policies by netpol {policies['managed']:,}, by others {policies['hand_written']:,}"
    wide = f", cluster-wide {policies['cluster_wide']:,}" if policies["cluster_wide"] else ""
    unseen = existing["allowed_not_observed"]["total"]
    yield "existing", f"{own}{wide}; connections that they allow and nobody made {unseen:,}"
    kept, pruned = existing["kept"], existing["pruned"]
    if kept["rules"] or kept["policies"]:
        counts = f"rules {len(kept['rules']):,}, whole policies {len(kept['policies']):,}"
        yield "kept", f"{counts}: by netpol, exercised by nothing; --prune drops them"
    if pruned["rules"] or pruned["policies"]:
        counts = f"rules {sum(pruned['rules'].values()):,}, whole policies {len(pruned['policies']):,}"
        yield "pruned", f"{counts}: by netpol, exercised by nothing"


def _listed(lines: Sequence[str], heading: str) -> Iterator[str]:
    if lines:
        yield heading.format(count=len(lines))
        yield from (f"  {line}" for line in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield f"  and {len(lines) - SHOWN} more: -d DIR writes them all to summary.json"


def _denied(item: Mapping[str, Any]) -> str:
    still = [port for port in item["ports"] if port not in item["allowed_after"]]
    if not still:
        outlook = "it will be allowed"
    elif item["denied_after_by"]:
        which = f"{', '.join(still)} stays" if item["allowed_after"] else "it stays"
        outlook = f"{which} denied by {', '.join(item['denied_after_by'])}"
    else:
        outlook = "whether it will be allowed is not defined"
    what = f"{item['source']} to {item['destination']} {', '.join(item['ports'])}"
    return f"{what}: {item['blocked_by']} denied by {', '.join(item['policies'])}; {outlook}"


def _keeps_open(item: Mapping[str, Any]) -> str:
    first = item["examples"][0]
    others = item["connections"] - 1
    more = f" and {others:,} more, none of them seen" if others else ", never seen"
    return f"{item['policy']} {', '.join(item['rules'])}: {first['source']} to {first['destination']}{more}"


def _unexercised(item: Mapping[str, Any]) -> str:
    vain = f": tried in vain {item['attempts']:,}" if item["attempts"] else ""
    return f"{item['policy']} {item['rule']}{vain}"


def _deletion(namespace: str, name: str) -> str:
    return f"{namespace}/{name}: kubectl delete networkpolicy -n {namespace} {name}"
