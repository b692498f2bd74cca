"""The last lines of `learn` on stderr: what was used, what was left out and why, and how tight the result is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netpol.cli.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHOWN = 10
"""Statements and scanners printed; summary.json has all."""

_WIDTH = 16


def account_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """The summary for a person, the most important first: what is closed only because nothing was seen."""
    silence = summary["closed_on_silence"]
    if silence:
        yield f"Closed on silence alone, {len(silence)} in all; check these first:"
        yield from _statements(silence)
    remarks = [item for item in summary["statements"] if item["topic"] != "no-policy"]
    if remarks:
        yield f"To know before you apply them, {len(remarks)} in all:"
        yield from _statements(remarks)
    for name, text in _figures(summary):
        yield f"{name:<{_WIDTH}}{plain(text)}"


def _statements(statements: list[dict[str, Any]]) -> Iterator[str]:
    for item in statements[:SHOWN]:
        remedy = f" {item['remedy']}." if item["remedy"] else ""
        yield plain(f"  {item['workload']}: {item['text']}.{remedy}")
    if len(statements) > SHOWN:
        yield f"  and {len(statements) - SHOWN} more: -d DIR writes them all to summary.json"


def _figures(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    packets, connections, left_out = summary["packets"], summary["connections"], summary["left_out"]
    undecoded = sum(packets["undecoded"].values())
    yield (
        "packets",
        f"{packets['read']:,} read, {undecoded:,} undecoded{_counts(packets['undecoded'])}, "
        f"{packets['truncated']:,} truncated, {packets['lost']:,} lost",
    )
    outcomes = ("established", "refused", "unanswered", "midstream")
    yield "connections", f"{connections['total']:,}: " + ", ".join(f"{connections[name]:,} {name}" for name in outcomes)
    missing = sum(left_out["not_attributed"].values())
    yield (
        "attributed",
        f"{connections['total'] - missing:,}, not attributed {missing:,}{_counts(left_out['not_attributed'])}",
    )
    yield (
        "learned",
        f"{summary['learned']:,}, not working {_total(left_out['not_working'])}, "
        f"not for policies {_total(left_out['not_for_policies'])}",
    )
    yield "quarantined", _total(left_out["quarantined"])
    for scanner in summary["scanners"][:SHOWN]:
        yield "  scans", f"{scanner['source']} since {scanner['since']}"
    if len(summary["scanners"]) > SHOWN:
        yield "  scans", f"and {len(summary['scanners']) - SHOWN} more sources"
    ends = summary["endpoints"]
    yield (
        "edges",
        f"{summary['edges']:,} among {ends['workloads']:,} workloads, {ends['nodes']:,} nodes "
        f"and {ends['external']:,} groups of outside addresses",
    )
    fewest = "no fewer would do" if summary["rules"] == summary["rules_lower_bound"] else (
        f"at least {summary['rules_lower_bound']:,} are needed"
    )
    yield "policies", f"{summary['policies']:,} with {summary['rules']:,} rules ({fewest}), {summary['selectors']:,} selectors"
    proof = summary["proof"]
    yield "proof", f"{proof['admitted']:,} of {proof['admitted'] + proof['denied']:,} learned connections admitted in replay"
    reach = summary["pod_pair_ports"]
    yield (
        "pod-pair-ports",
        f"{reach['before']:,} allowed before, {reach['after']:,} after, {reach['observed']:,} observed",
    )
    tightness = summary["tightness"]
    yield "tightness", "nothing is allowed between pods" if tightness is None else f"{tightness:.3f}"


def _counts(counts: Mapping[str, int]) -> str:
    inside = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f" ({inside})" if inside else ""


def _total(counts: Mapping[str, int]) -> str:
    return f"{sum(counts.values()):,}{_counts(counts)}"
