"""The words of a report that all its renderings for people share; not escaped yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.cli.list_render import ports_text
from netpol.flows.write import timestamp

if TYPE_CHECKING:
    from netpol.graph.label_graph import Replicas
    from netpol.review.evidence import Seen
    from netpol.review.report import Change, LeftOut, Observed, Report

CHANGES_HEADING: Final = (
    "Change",
    "Source",
    "Destination",
    "Before",
    "After",
    "Connections",
    "First seen",
    "Last seen",
    "Pods, nodes",
    "Direction known by",
)

NEVER: Final = "never seen"
_MINUTE: Final = 60
"""Seconds."""


def counted(count: int, noun: str) -> str:
    """`1 line`, `2 lines`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def moment(nanoseconds: int) -> str:
    """A packet's time to the second."""
    return f"{timestamp(nanoseconds)[:19]}Z"


def verdict_line(report: Report) -> str:
    """The whole report in one line."""
    if report.observed is None:
        before, after = report.policies
        return f"Policies: {before:,} before, {after:,} after. No capture was given: nothing here has evidence."
    return f"{_window(report.observed)}: {'; '.join(_figures(report.observed))}."


def _window(observed: Observed) -> str:
    if observed.window is None:
        return "No packet was seen"
    first, last = observed.window
    return f"{moment(first)} to {moment(last)} ({_duration(last - first)})"


def _duration(nanoseconds: int) -> str:
    seconds = nanoseconds // 1_000_000_000
    if seconds < _MINUTE:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, _MINUTE)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _figures(observed: Observed) -> list[str]:
    share = "" if observed.share is None else f", {_percent(observed.explained, observed.connections)} explained"
    parts = [f"{counted(observed.connections, 'connection')}{share}"]
    if observed.denied:
        learned = f"{observed.denied_learned:,} of them learned" if observed.denied_learned else "left out on purpose"
        parts.append(f"{observed.denied:,} that worked would be denied, {learned}")
    else:
        parts.append("nothing that worked would be denied")
    over = max(0, observed.allowed - observed.used)
    allowed = f"{observed.allowed:,} allowed pod-pair-ports ({observed.allowed_before:,} before)"
    parts.append(f"of {allowed} {over:,} were never seen used")
    return parts


def _percent(part: int, whole: int) -> str:
    """Never rounded up to all of it."""
    if part == whole:
        return "100 %"
    return f"{part * 1000 // whole / 10:.1f} %"


def changes_line(report: Report) -> str:
    """How many rows of each kind, and what is not among them."""
    kinds = [row.kind for row in report.changes]
    counts = ", ".join(f"{kinds.count(kind):,} {kind}" for kind in ("added", "removed", "changed"))
    if report.closed is None:
        return (
            f"{counts}. There was no policy before: everything was open. Whatever policies restrict and still allow is "
            "listed; everything else between their pods and others is closed."
        )
    if not report.closed:
        return f"{counts}." if report.changes else "No connection differs."
    pairs = counted(report.closed, "pair")
    return f"{counts}. Beside them, {pairs} of ends that nothing restricted and nobody used: closed."


def change_cells(row: Change) -> tuple[str, ...]:
    """One row of the table; the first five need no evidence."""
    return (
        row.kind,
        row.source,
        row.destination,
        ports_text(row.before),
        ports_text(row.after),
        _connections(row),
        *_evidence(row.lost or row.seen),
    )


def _connections(row: Change) -> str:
    parts = [f"{row.seen.evidence.connections:,}"] if row.seen else []
    if row.lost:
        parts.append(f"{row.lost.evidence.connections:,} denied now")
    return ", ".join(parts) or NEVER


def _evidence(seen: Seen | None) -> tuple[str, ...]:
    if seen is None:
        return ("", "", "", "")
    evidence = seen.evidence
    return (moment(evidence.first_seen), moment(evidence.last_seen), where(seen), directions(seen))


def where(seen: Seen) -> str:
    """Which pods and nodes saw it: `2 pods to 1 on node-a, node-b`."""
    source, destination = _pods(seen.source_pods), _pods(seen.destination_pods)
    nodes = f" on {', '.join(seen.nodes)}" if seen.nodes else ""
    ends = f"{source or 'outside'} to {destination or 'outside'}"
    return f"{ends}{nodes}"


def _pods(pods: Replicas) -> str:
    return counted(pods.count, "pod") if pods.count else ""


def directions(seen: Seen) -> str:
    """`syn 12, declared 2; 2 older than the capture`."""
    evidence = seen.evidence
    words = ", ".join(f"{direction.label} {count:,}" for direction, count in evidence.directions)
    older = f"; {evidence.midstream:,} older than the capture" if evidence.midstream else ""
    return f"{words}{older}"


def left_out_cells(row: LeftOut) -> tuple[str, ...]:
    """One row of the table."""
    more = " and more" if row.more_ports else ""
    return (
        row.reason,
        row.source,
        row.destination,
        f"{', '.join(row.ports)}{more}",
        f"{row.connections:,}",
        moment(row.first_seen),
        moment(row.last_seen),
    )


def needless_line(report: Report) -> str:
    """What no policy can speak of."""
    if not report.needless:
        return "Every other connection was learned." if report.left_out else "Every connection was learned."
    total = sum(count for _, count in report.needless)
    parts = ", ".join(f"{reason} {count:,}" for reason, count in report.needless)
    return f"No policy can or need speak of {counted(total, 'connection')}: {parts}."
