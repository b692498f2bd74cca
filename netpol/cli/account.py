"""The last lines of `learn` on stderr: what was used, what was left out and why, and how tight the result is."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from netpol.cli.account_print import print_account
from netpol.cli.existing_account import existing_figures, existing_lines
from netpol.cli.text import plain
from netpol.cli.threat_account import threat_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHOWN = 10
"""Statements and scanners printed; summary.json has all."""

_WIDTH = 16


def write_account(summary: Mapping[str, Any], stream: IO[str]) -> None:
    """The summary for a person, the most important first: threats, then what is closed because nothing was seen."""
    figures = [(name, plain(text)) for name, text in _figures(summary)]
    print_account(_remark_lines(summary), figures, _WIDTH, stream)


def _remark_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    yield from threat_lines(summary["threats"])
    silence = summary["closed_on_silence"]
    if silence:
        yield f"Closed on silence alone, {len(silence)} in all; check these first:"
        yield from _statements(silence)
    if summary["existing"] is not None:
        yield from map(plain, existing_lines(summary["existing"]))
    remarks = [item for item in summary["statements"] if item["topic"] != "no-policy"]
    if remarks:
        yield f"To know before you apply them, {len(remarks)} in all:"
        yield from _statements(remarks)
    differs = summary["dialect"]["remarks"]
    if differs:
        yield f"What {summary['dialect']['name']} says differently, {len(differs)} in all:"
        yield from _remarks(differs)


def _statements(statements: list[dict[str, Any]]) -> Iterator[str]:
    for item in statements[:SHOWN]:
        remedy = f" {item['remedy']}." if item["remedy"] else ""
        yield plain(f"  {item['workload']}: {item['text']}.{remedy}")
    if len(statements) > SHOWN:
        yield f"  and {len(statements) - SHOWN} more: -d DIR writes them all to summary.json"


def _remarks(remarks: list[dict[str, Any]]) -> Iterator[str]:
    for item in remarks[:SHOWN]:
        first, *others = item["policies"]
        policies = f"{first} and {len(others)} more" if others else first
        remedy = f" {item['remedy']}." if item["remedy"] else ""
        yield plain(f"  {policies}: {item['text']}.{remedy}")
    if len(remarks) > SHOWN:
        yield f"  and {len(remarks) - SHOWN} more: -d DIR writes them all to summary.json"


def _figures(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    left_out = summary["left_out"]
    yield "packets", _packets(summary["packets"])
    yield "connections", _connections(summary["connections"])
    missing = sum(left_out["not_attributed"].values())
    attributed = f"{summary['connections']['total'] - missing:,}"
    yield "attributed", f"{attributed}, not attributed {missing:,}{_counts(left_out['not_attributed'])}"
    needless = f"not for policies {_total(left_out['not_for_policies'])}"
    yield "learned", f"{summary['learned']:,}, not working {_total(left_out['not_working'])}, {needless}"
    yield "quarantined", _total(left_out["quarantined"])
    for scanner in summary["scanners"][:SHOWN]:
        yield "  scans", f"{scanner['source']} since {scanner['since']}"
    if len(summary["scanners"]) > SHOWN:
        yield "  scans", f"and {len(summary['scanners']) - SHOWN} more sources"
    ends = summary["endpoints"]
    outside = f"nodes {ends['nodes']:,}, groups of outside addresses {ends['external']:,}"
    yield "edges", f"{summary['edges']:,}; workloads {ends['workloads']:,}, {outside}"
    yield "policies", _policies(summary)
    if summary["existing"] is not None:
        yield from existing_figures(summary["existing"])
    proof = summary["proof"]
    pairs = proof["admitted"] + proof["denied"]
    yield "proof", f"{proof['admitted']:,} of {pairs:,} learned (source, destination, port) admitted in replay"
    reach = summary["pod_pair_ports"]
    seen = f"{reach['observed']:,} observed"
    yield "pod-pair-ports", f"{reach['before']:,} allowed before, {reach['after']:,} after, {seen}"
    before, after = summary["blast_radius"]["before"], summary["blast_radius"]["after"]
    worst = f"at worst {before['worst']:,} before, {after['worst']:,} after"
    yield "blast radius", f"pods that one pod reaches: {before['mean']:.1f} before, {after['mean']:.1f} after; {worst}"
    tightness = summary["tightness"]
    yield "tightness", "nothing is allowed between pods" if tightness is None else f"{tightness:.3f}"


def _packets(packets: Mapping[str, Any]) -> str:
    undecoded = f"{sum(packets['undecoded'].values()):,} undecoded{_counts(packets['undecoded'])}"
    return f"{packets['read']:,} read, {undecoded}, {packets['truncated']:,} truncated, {packets['lost']:,} lost"


def _connections(connections: Mapping[str, int]) -> str:
    outcomes = ["established", "refused", "unanswered", "midstream"]
    if connections["unknown"]:  # of flow logs alone
        outcomes.append("unknown")
    return f"{connections['total']:,}: " + ", ".join(f"{connections[name]:,} {name}" for name in outcomes)


def _policies(summary: Mapping[str, Any]) -> str:
    rules, bound = summary["rules"], summary["rules_lower_bound"]
    fewest = "no fewer would do" if rules == bound else f"at least {bound:,} are needed"
    return f"{summary['policies']:,}; rules {rules:,} ({fewest}), selectors {summary['selectors']:,}"


def _counts(counts: Mapping[str, int]) -> str:
    inside = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f" ({inside})" if inside else ""


def _total(counts: Mapping[str, int]) -> str:
    return f"{sum(counts.values()):,}{_counts(counts)}"
