"""`netpol status`: how the agents of the nodes fare."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Self

import typer

from netpol.cli import options
from netpol.errors import UsageError
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.agent.hub.report import Node, Report

DROPS, LAG = "drops", "lag"
_HEADING: Final = ("NODE", "RECORDS", "WINDOWS", "LAST-SEEN", "LAG", "DROPS", "VERSION")


class Format(StrEnum):
    """How the status is printed."""

    TABLE = "table"
    JSON = "json"


def status(
    place: Annotated[
        str,
        typer.Argument(
            metavar="[DIR|hub://...]", help="The hub, by default the one behind the API server; or its folder."
        ),
    ] = "hub://",
    output: Annotated[Format, typer.Option("-o", "--output", help="How it is printed.")] = Format.TABLE,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            help="Exit with 1 when a node has drops, or a lag above a span of time: drops, lag=5m, or drops,lag=5m.",
            show_default=False,
        ),
    ] = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Say for each node what it recorded, when it was last heard of, what it dropped, and its version.

    Nodes of the cluster of which nothing ever came are listed last. Drops are packets for which the kernel had no room,
    connections for which the agent had none, packets that could not be decoded, and windows of a minute that were given
    up or never came.
    """
    gate = _Gate.of(fail_on)
    report = _report(place, context, kubeconfig)
    if output is Format.JSON:
        import msgspec

        text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
        sys.stdout.write(f"{text}\n")
    else:
        _print(report)
    reasons = [*gate.reasons(report)]
    if reasons:
        from netpol.cli.observe import warn

        for reason in reasons:
            warn(reason)
        raise typer.Exit(1)


def _report(place: str, context: str | None, kubeconfig: Path | None) -> Report:
    from netpol.agent.hub.place import is_hub
    from netpol.agent.hub.report import report_of_dataset
    from netpol.dataset.bucket import place_of

    if is_hub(place):
        from netpol.cli.hub_captures import asked

        return asked(place, context, kubeconfig)[1].status()
    return report_of_dataset(place_of(place), time.time_ns())


def _print(report: Report) -> None:
    from netpol.cli.text import columns

    rows = (
        (
            node.node,
            f"{node.records:,}",
            f"{node.windows:,}",
            f"{node.last_seen[:19]}Z",
            _span(node.lag_seconds),
            ", ".join(_drops(node)) or "none",
            node.version,
        )
        for node in report.nodes
    )
    unheard = ((name, "0", "0", "never", "", "", "") for name in report.unheard)
    for line in columns(_HEADING, (*rows, *unheard)):
        sys.stdout.write(f"{line}\n")
    for line in _about_hub(report):
        sys.stderr.write(f"{line}\n")


def _about_hub(report: Report) -> Iterator[str]:
    if not report.nodes:
        yield "nothing was recorded yet"
    if report.waiting and report.waiting.windows:
        yield f"windows that wait for the dataset: {report.waiting.windows:,}"
    if report.cluster and not report.cluster.synced:
        yield "the cluster's history is not complete yet"


def _drops(node: Node) -> Iterator[str]:
    for reason, count in node.drops.items():
        if count:
            yield f"{reason.replace('_', ' ')} {count:,}"


def _span(seconds: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


@dataclass(frozen=True, slots=True)
class _Gate:
    """What a node must not have: drops, and a lag above so many seconds."""

    drops: bool = False
    lag: int | None = None

    @classmethod
    def of(cls, text: str | None) -> Self:
        """From the option.

        Raises:
            UsageError: It says something else.
        """
        from netpol.cli.amounts import seconds

        drops, lag = False, None
        for word in text.split(",") if text is not None else ():
            name, equals, span = word.strip().partition("=")
            if name == DROPS and not equals:
                drops = True
            elif name == LAG and equals:
                lag = seconds(span, "--fail-on lag")
            else:
                raise UsageError(
                    f"{shown(word)} is nothing to fail on", where=("--fail-on",), remedy="Give drops, lag=5m, or both"
                )
        return cls(drops, lag)

    def reasons(self, report: Report) -> Iterator[str]:
        """Why it fails."""
        for node in report.nodes:
            if self.drops and (found := [*_drops(node)]):
                yield f"{node.node}: {', '.join(found)}"
            if self.lag is not None and node.lag_seconds > self.lag:
                yield f"{node.node}: last heard of {_span(node.lag_seconds)} ago"
        for name in report.unheard if self.lag is not None else ():
            yield f"{name}: never heard of"
