"""`netpol dataset`: looks at records in a folder or a bucket, fills it, and keeps it small."""

from __future__ import annotations

import json
import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from netpol.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.capture.packets import Tally
    from netpol.cli.observe import Cluster
    from netpol.dataset.folder import Dataset
    from netpol.dataset.status import Observer, Status

_AT_ONCE: Final = 500
"""Windows that are added together."""

Where = Annotated[str, typer.Argument(metavar="DATASET", help="A folder, or s3://BUCKET/PREFIX or gs://BUCKET/PREFIX.")]

dataset = typer.Typer(no_args_is_help=True, help="Look at, fill and tidy up a dataset: a folder of Parquet files.")


class Format(StrEnum):
    """How a dataset is described."""

    TEXT = "text"
    JSON = "json"


@dataset.command()
def inspect(
    where: Where,
    output: Annotated[Format, typer.Option("-o", "--output", help="How it is printed.")] = Format.TEXT,
) -> None:
    """Say what a dataset holds: tables, hours, and what each observer recorded and lost."""
    from netpol.cli.observe import MALFORMED, warn
    from netpol.dataset.bucket import place_of
    from netpol.dataset.folder import Dataset

    status = Dataset.open(place_of(where)).status()
    if output is Format.JSON:
        sys.stdout.write(f"{json.dumps(_described(status), indent=2)}\n")
    else:
        for line in _lines(status):
            sys.stdout.write(f"{line}\n")
    for place, what in status.broken:
        warn(f"{place}: {what}")
    raise typer.Exit(MALFORMED if status.broken else 0)


@dataset.command()
def merge(
    where: Where,
    captures: Annotated[
        list[str],
        typer.Argument(
            metavar="CAPTURE...",
            help="Other datasets, windows, pcap and pcapng files, flow logs, folders of them, hubs, or - for standard "
            "input.",
            show_default=False,
        ),
    ],
    cluster: options.Snapshots = None,
) -> None:
    """Add records to a dataset, which is made where there is none. What it has already is not added again.

    Of packets, windows of a minute are made, as an agent would have; what flow logs tell is added up by the hour. The
    same file is added once, however often it is named; one that has grown since is another. With --cluster, logs may
    name pods without addresses, and what they tell of Services is told of the pods behind them.
    """
    from netpol.cli.observe import MALFORMED, ClusterChoice, cluster_of

    known = cluster_of(ClusterChoice(paths=cluster)) if cluster else None
    _, added, tally = filled(where, captures, known)
    sys.stderr.write(f"{added:,} windows, hours and files added, {tally.packets:,} packets read\n")
    raise typer.Exit(MALFORMED if tally.malformed_captures else 0)


@dataset.command()
def compact(
    where: Where,
    roll_up: Annotated[
        bool, typer.Option("--roll-up", help="Also add up every hour that is over to flows, in the table `flows`.")
    ] = False,
    cluster: options.Snapshots = None,
) -> None:
    """Put the files of each hour together, and clear away what writers left that died.

    With --roll-up, the table `flows` gets one row per hour, client, server, protocol, port and outcome; with --cluster
    it also names workloads, and tells who was the client by what the cluster declares.
    """
    from netpol.cli.observe import ClusterChoice, cluster_of
    from netpol.dataset.bucket import place_of
    from netpol.dataset.folder import Dataset
    from netpol.dataset.layout import hour_of
    from netpol.errors import UsageError

    if cluster and not roll_up:
        raise UsageError("--cluster needs --roll-up", remedy="Without it no flows are written")
    target = Dataset.open(place_of(where))
    known = cluster_of(ClusterChoice(paths=cluster)) if cluster else None
    files = target.compact()
    hours: list[int] = []
    if roll_up:
        knowledge = known.timeline if known else None
        hours = target.roll_up(hour_of(time.time_ns()) - 1, knowledge, ends_of(knowledge) if knowledge else None)
    sys.stderr.write(f"{files:,} files put together, {len(hours):,} hours added up\n")


@dataset.command()
def prune(
    where: Where,
    max_age: Annotated[
        str | None,
        typer.Option(metavar="SPAN", help="Delete hours that ended longer ago: 90d, 720h.", show_default=False),
    ] = None,
    max_raw_age: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN",
            help="Of hours that ended longer ago and are added up, keep only what they add up to.",
            show_default=False,
        ),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Keep at most so much: 20GiB. What is added up goes first as recorded, then the oldest hours.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Delete what is too old or too much."""
    from netpol.cli.amounts import seconds, size
    from netpol.dataset.bucket import place_of
    from netpol.dataset.folder import Dataset
    from netpol.errors import UsageError

    if max_age is max_raw_age is max_size is None:
        raise UsageError("nothing says what to delete", remedy="Give --max-age, --max-raw-age or --max-size")
    second = 1_000_000_000
    pruned = Dataset.open(place_of(where)).prune(
        now=time.time_ns(),
        max_age=None if max_age is None else seconds(max_age, "--max-age") * second,
        max_raw_age=None if max_raw_age is None else seconds(max_raw_age, "--max-raw-age") * second,
        max_bytes=None if max_size is None else size(max_size, "--max-size"),
    )
    sys.stderr.write(
        f"{pruned.bytes:,} bytes deleted: {pruned.hours:,} hours, and {pruned.raw_hours:,} hours as recorded\n"
    )


def filled(where: str, captures: list[str], known: Cluster | None) -> tuple[Dataset, int, Tally]:
    """The dataset there, made if need be, with what captures hold, how much of it was new, and what was read; warns.

    Raises:
        InputError: A capture cannot be read, or no dataset be made there.
    """
    from pathlib import Path

    from netpol.capture.packets import Tally
    from netpol.cli.hub_captures import local
    from netpol.cli.observe import note, places_of, warn_of_losses
    from netpol.cluster.people import PodNames
    from netpol.dataset.bucket import place_of
    from netpol.dataset.folder import Dataset
    from netpol.dataset.merging import merged
    from netpol.dataset.rollup import Known
    from netpol.errors import InputError

    sources = places_of(local(captures))
    for source in sources:  # before a dataset is made of what may be named in the wrong place
        if isinstance(source, Path) and not source.exists():
            raise InputError("cannot be read: there is no such file or folder", where=(str(source),))
    target = Dataset.create(place_of(where))
    tally = Tally()
    of_logs = Known()
    if known:
        people = PodNames(known.inventory)
        of_logs = Known(people=people, knowledge=known.timeline, ends=ends_of(known.timeline))
    added = sum(merged(target, sources, tally, version=_version(), at_once=_AT_ONCE, known=of_logs))
    warn_of_losses(tally)
    if tally.log_records_unplaced and not known:
        note("who the pods are that logs name without addresses, --cluster knows")
    return target, added, tally


def _version() -> str:
    from netpol.cli.version import installed_version

    return installed_version() or "0"


def ends_of(timeline: Any) -> Any:
    """What names the ends of flows in datasets."""
    from netpol.cluster.resolve import resolve

    def ends(table: Any) -> Iterator[tuple[str | None, str | None]]:
        return ((flow.source_text, flow.destination_text) for flow in resolve(table, timeline))

    return ends


def _described(status: Status) -> dict[str, Any]:
    from netpol.dataset.layout import FORMAT

    return {
        "format": FORMAT,
        "version": status.version,
        "tables": {
            name: {"files": table.files, "rows": table.rows, "bytes": table.bytes}
            for name, table in status.tables.items()
        },
        "hours": {
            "first": _hour(status.hours[0]) if status.hours else None,
            "last": _hour(status.hours[-1]) if status.hours else None,
            "count": len(status.hours),
            "added_up": status.rolled_up,
            "as_recorded": status.recorded,
        },
        "observers": {name: _observer(each) for name, each in sorted(status.observers.items())},
        "replaced_files": status.replaced,
        "broken": [{"path": path, "what": what} for path, what in status.broken],
    }


def _observer(each: Observer) -> dict[str, Any]:
    from netpol.flows.write import timestamp

    return {
        "windows": each.windows,
        "first": timestamp(each.first),
        "last": timestamp(each.last),
        "packets": each.packets,
        "records": each.records,
        "missing_windows": each.missing,
        "windows_given_up": each.given_up,
        "packets_dropped": each.kernel,
        "records_evicted": each.evicted,
        "packets_undecodable": each.undecodable,
        "versions": sorted(each.versions),
    }


def _hour(hour: int) -> str:
    from netpol.dataset.layout import HOUR
    from netpol.flows.write import timestamp

    return timestamp(hour * HOUR)[:16] + "Z"


def _lines(status: Status) -> Iterator[str]:
    from netpol.cli.text import columns

    said = _described(status)
    hours = said["hours"]
    yield (
        f"version {status.version}; {hours['count']:,} hours from {hours['first']} to {hours['last']}, "
        f"{hours['added_up']:,} added up, {hours['as_recorded']:,} as recorded"
    )
    yield ""
    yield from columns(
        ("TABLE", "FILES", "ROWS", "BYTES"),
        (
            (name, f"{each.files:,}", "?" if each.rows is None else f"{each.rows:,}", f"{each.bytes:,}")
            for name, each in status.tables.items()
        ),
    )
    if status.observers:
        yield ""
        yield from columns(
            ("OBSERVER", "WINDOWS", "MISSING", "PACKETS", "DROPPED", "UNDECODABLE", "RECORDS", "EVICTED", "LAST",
             "VERSION"),
            (_row(name, each) for name, each in said["observers"].items()),
        )  # fmt: skip


def _row(name: str, each: dict[str, Any]) -> tuple[str, ...]:
    counts = ("windows", "missing_windows", "packets", "packets_dropped", "packets_undecodable", "records",
              "records_evicted")  # fmt: skip
    return (name, *(f"{each[count]:,}" for count in counts), each["last"][:19] + "Z", ", ".join(each["versions"]))
