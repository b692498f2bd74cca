"""`netpol flows`: who talked to whom."""

from __future__ import annotations

import sys
from enum import StrEnum
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated

import typer

from netpol.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.cli.observe import Reading
    from netpol.flows.write import NamedFlow
    from netpol.model.endpoint import End, ResolvedFlow
    from netpol.model.labels import LabelSelector


class Format(StrEnum):
    """How flows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


def flows(
    captures: options.Captures,
    cluster: options.Snapshots = None,
    output: Annotated[
        Format, typer.Option("-o", "--output", help="parquet is binary: redirect it to a file.")
    ] = Format.TABLE,
    directory: Annotated[
        str | None,
        typer.Option(
            "-d",
            "--directory",
            metavar="DIR",
            help="With -o parquet: a dataset instead of one table, by date and hour, as a hub keeps it. A folder, or "
            "s3://BUCKET/PREFIX or gs://BUCKET/PREFIX. What it has already stays.",
            show_default=False,
        ),
    ] = None,
    namespace: options.Namespaces = None,
    all_namespaces: options.AllNamespaces = False,
    selector: options.Selector = None,
    since: options.Since = None,
    until: options.Until = None,
    strict: options.Strict = False,
    engine: options.Engine = "",
) -> None:
    """List who talked to whom: one row per client, server, protocol, port and outcome.

    With --cluster, each row also names the workloads, nodes and Services behind the addresses.
    """
    from netpol.cli.observe import (
        ClusterChoice,
        cluster_of,
        cluster_paths,
        read,
        refuse_shared_stdin,
        warn_of_unknown_namespaces,
        warn_of_unmatched,
    )
    from netpol.cli.times import span_of
    from netpol.errors import UsageError
    from netpol.flows.write import write_table

    paths = cluster_paths(cluster, captures)
    refuse_shared_stdin(captures, paths)
    wanted = options.chosen_namespaces(namespace, everything=all_namespaces)
    labels = options.chosen_labels(selector)
    if wanted and not paths:
        raise UsageError("-n needs --cluster", remedy="Without one, addresses have no namespace")
    if labels and not paths:
        raise UsageError("-l needs --cluster", remedy="Without one, addresses have no labels")
    if directory is not None:
        if output is not Format.PARQUET:
            raise UsageError("-d needs -o parquet", remedy="Redirect other formats to a file")
        if wanted or labels or since or until or engine or strict:
            raise UsageError(
                "-d takes all flows: no -n, -l, --since, --until, --engine or --strict",
                remedy="Choose where the dataset is read",
            )
        raise typer.Exit(_write_dataset(directory, captures, paths))
    if output is Format.PARQUET and sys.stdout.isatty():
        remedy = "Redirect it: netpol flows ... -o parquet > flows.parquet; or name a folder for a dataset: -d DIR"
        raise UsageError("Parquet would garble the terminal", remedy=remedy)
    known = cluster_of(ClusterChoice(paths=paths)) if paths else None
    if known:
        warn_of_unknown_namespaces(wanted, known)
        warn_of_unmatched(labels, known)
    reading = read(captures, known, span=span_of(since, until), strict=strict, engine=engine)
    if output is Format.JSON and known is None:
        write_table(reading.table, sys.stdout)
    else:
        anonymous = ((flow, None, None) for flow in reading.table)
        _print(
            _named(reading.resolved(known), wanted, labels) if known else anonymous,
            output,
            with_names=known is not None,
        )
    _account(reading)
    raise typer.Exit(reading.exit_code)


def _write_dataset(directory: str, captures: list[str], paths: list[str]) -> int:
    """Adds all that there is, then adds it up; the exit code."""
    from netpol.cli.dataset import ends_of, filled
    from netpol.cli.observe import MALFORMED, ClusterChoice, cluster_of

    known = cluster_of(ClusterChoice(paths=paths)) if paths else None
    target, _, tally = filled(directory, captures, known)
    target.compact()
    timeline = known.timeline if known else None
    hours = target.hours()
    if hours:
        target.roll_up(hours[-1], timeline, ends_of(timeline) if timeline else None)
    count = target.status().tables["flows"].rows or 0
    sys.stderr.write(f"{tally.packets:,} packets read; {count:,} flows of {len(hours):,} hours in {directory}\n")
    return MALFORMED if tally.malformed_captures else 0


def _named(
    flows: Iterable[ResolvedFlow], namespaces: frozenset[str] | None, labels: LabelSelector | None
) -> Iterator[NamedFlow]:
    """The flows of which an end is in the namespaces and has the labels that were asked for."""
    for flow in flows:
        ends = (flow.source, *(destination.end for destination in flow.destinations))
        if (namespaces is None and labels is None) or any(_is_asked_for(end, namespaces, labels) for end in ends):
            yield flow.flow, flow.source_text, flow.destination_text


def _is_asked_for(end: End, namespaces: frozenset[str] | None, labels: LabelSelector | None) -> bool:
    from netpol.model.endpoint import PodEnd, ServiceEnd

    if isinstance(end, PodEnd):
        here = namespaces is None or end.pod.namespace in namespaces
        return here and (labels is None or labels.matches(end.pod.labels))
    # Which pods are behind a Service's address is not known where that is what an end is.
    return isinstance(end, ServiceEnd) and labels is None and (namespaces is None or end.namespace in namespaces)


def _print(named: Iterable[NamedFlow], output: Format, *, with_names: bool) -> None:
    from netpol.flows.write import write_csv, write_json, write_parquet

    if output is Format.JSON:
        write_json(named, sys.stdout)
    elif output is Format.CSV:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(newline="")  # RFC 4180 ends lines itself
        write_csv(named, sys.stdout, named=with_names)
    elif output is Format.PARQUET:
        write_parquet(named, sys.stdout.buffer, named=with_names)
    else:
        _print_table(named, with_names=with_names)


def _print_table(named: Iterable[NamedFlow], *, with_names: bool) -> None:
    from netpol.cli.text import columns
    from netpol.flows.write import FIELDS, NAMES, values

    heading = (*(NAMES if with_names else ()), *FIELDS)
    rows = (
        tuple(
            "" if cell is None else str(cell)
            for cell in (*((source, destination) if with_names else ()), *values(flow))
        )
        for flow, source, destination in named
    )
    for line in columns([name.upper().replace("_", "-") for name in heading], rows):
        sys.stdout.write(f"{line}\n")


def _account(reading: Reading) -> None:
    tally = reading.tally
    undecoded = ", ".join(f"{reason} {count:,}" for reason, count in sorted(tally.undecoded.items()))
    sys.stderr.write(
        f"{tally.packets:,} packets read, {tally.packets - tally.decoded:,} undecoded"
        f"{f' ({undecoded})' if undecoded else ''}, "
        f"{tally.truncated:,} truncated, {tally.lost:,} lost; {len(reading.table):,} flows\n"
    )
