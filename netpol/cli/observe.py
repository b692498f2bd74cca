"""The first half of every command that reads captures: paths to a flow table, and to who took part in it."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from netpol.cli.progress import packet_progress
from netpol.cli.text import plain
from netpol.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from netpol.capture.packets import Tally
    from netpol.cluster.timeline import Timeline
    from netpol.dataset.captures import Span
    from netpol.dataset.place import Place
    from netpol.flows.assemble import Item
    from netpol.flows.table import FlowTable
    from netpol.model.endpoint import ResolvedFlow
    from netpol.model.inventory import Inventory
    from netpol.model.labels import LabelSelector
    from netpol.names.part import NameTaker

STDIN: Literal["-"] = "-"
_HISTORY: Final = "cluster", "cluster.sqlite"
"""Where a dataset that a hub keeps has the cluster's history."""

_BROKEN_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterChoice:
    """Which cluster to ask: files, or a context of a kubeconfig."""

    paths: Sequence[str]
    context: str | None = None
    kubeconfig: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What there was, and when."""

    inventory: Inventory
    timeline: Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the captures held."""

    tally: Tally
    table: FlowTable

    @property
    def exit_code(self) -> int:
        """0, or MALFORMED where a capture could not be read to its end for more than being cut off."""
        return MALFORMED if self.tally.malformed_captures else 0

    def resolved(self, cluster: Cluster) -> Iterator[ResolvedFlow]:
        """Every flow with its ends."""
        from netpol.cluster.resolve import resolve

        return resolve(self.table, cluster.timeline)


MALFORMED = 2
"""Exit code when a capture held something that cannot be read; what came before it was used, and is in the answer."""


def paths_of(words: Sequence[str]) -> list[Path | Literal["-"]]:
    """Arguments as paths; `-` stays what it is: standard input.

    Raises:
        UsageError: Standard input is named more than once.
    """
    if words.count(STDIN) > 1:
        raise UsageError("- is named more than once", remedy="Standard input can be read once only")
    return [STDIN if word == STDIN else Path(word) for word in words]


def places_of(words: Sequence[str]) -> list[Path | Literal["-"] | Place]:
    """The same of captures, which may also be datasets in buckets.

    Raises:
        UsageError: Standard input is named more than once, or a word names no bucket that can be asked.
        StoreError: There are no credentials for a bucket.
    """
    from netpol.dataset.address import is_address
    from netpol.dataset.bucket import place_of

    buckets = [place_of(word) for word in words if is_address(word)]
    return [*paths_of([word for word in words if not is_address(word)]), *buckets]


def cluster_paths(
    cluster: Sequence[str] | None,
    captures: Sequence[str],
    context: str | None = None,
    kubeconfig: Path | None = None,
) -> list[str]:
    """The files that say who owns which address: those that were named, or else the history that lies beside records.

    Args:
        cluster: What `--cluster` names.
        captures: What is read: hubs among it are asked here.
        context: Of the kubeconfig, for a hub behind the API server.
        kubeconfig: The same.

    Raises:
        ClusterError: A hub cannot be asked.
    """
    from netpol.agent.hub.place import is_hub

    found = []
    for word in captures:
        if is_hub(word):
            from netpol.cli import hub_captures

            hub_captures.reach(word, context, kubeconfig)
            history = None if cluster else hub_captures.history(word)
        else:
            history = Path(word, *_HISTORY)
        if history is not None and history.is_file():
            found.append(str(history))
    return [*cluster] if cluster else found


def cluster_of(choice: ClusterChoice) -> Cluster:
    """The cluster from the files, or from the API server where no file was given.

    Raises:
        InputError: A file cannot be read.
        ClusterError: The API server cannot be asked.
    """
    return cluster_from(read_inventory(choice))


def cluster_from(inventory: Inventory) -> Cluster:
    """The cluster with its history."""
    from netpol.cluster.timeline import Timeline

    return Cluster(inventory=inventory, timeline=Timeline.of(inventory))


def read_inventory(choice: ClusterChoice) -> Inventory:
    """The same without its history.

    Raises:
        InputError: A file cannot be read.
        ClusterError: The API server cannot be asked.
    """
    if choice.paths:
        from netpol.cluster.manifests import load

        return load(paths_of(choice.paths))
    from netpol.cluster.live import LiveReading, load_live

    reading = LiveReading()
    inventory = load_live(choice.context, choice.kubeconfig, reading=reading)
    for message in reading.warnings:
        warn(message)
    return inventory


def read(
    captures: Sequence[str],
    cluster: Cluster | None,
    *,
    names: NameTaker | None = None,
    span: Span | None = None,
    strict: bool = False,
    tap: Callable[[Iterable[Item]], Iterator[Item]] | None = None,
    quiet: bool = False,
    engine: str = "",
) -> Reading:
    """Reads all captures into one flow table.

    Args:
        captures: As the user named them.
        cluster: Says who owns which address, where that is known.
        names: Takes what the packets say about names; without it they are not looked at for names.
        span: The part of the time that is wanted.
        strict: Refuse what cannot be read whole.
        tap: Sees everything that flows are made of, and passes it on.
        quiet: It was read before: say nothing of it again.
        engine: What adds datasets up, as the user named it.

    Raises:
        InputError: A capture cannot be read, or with `strict` not all of it.
        UsageError: The engine is not known, or reads no such captures.
    """
    from netpol.capture.packets import Tally
    from netpol.cli.aggregation import flows_of
    from netpol.cluster.people import PodNames
    from netpol.dataset.captures import Span, read_captures
    from netpol.flows.assemble import assemble

    tally = Tally()
    timeline = cluster.timeline if cluster else None
    paths = places_of(_local(captures, span))
    table = None
    if tap is None:
        table = flows_of(paths, engine, tally, timeline=timeline, names=names, span=span or Span())
    if table is None:
        people = PodNames(cluster.inventory) if cluster else None
        with nullcontext(iter) if quiet else packet_progress(tally) as through:
            items = through(read_captures(paths, tally, names=names, span=span, people=people))
            table = assemble(tap(items) if tap else items, knowledge=timeline)
    if strict:
        _refuse_losses(tally)
    if not quiet:
        warn_of_losses(tally)
        for remark, count in table.notes.items():
            warn(f"{remark}: {count:,}")
    return Reading(tally=tally, table=table)


def _local(captures: Sequence[str], span: Span | None) -> Sequence[str]:
    """The captures with a folder in the place of each hub, in which there is what the span needs."""
    from netpol.agent.hub.place import is_hub

    if not any(map(is_hub, captures)):
        return captures
    from netpol.cli.hub_captures import local

    return local(captures, span)


def _refuse_losses(tally: Tally) -> None:
    """For those who would rather have no answer than one of part of the input.

    Raises:
        InputError: Something could not be read.
    """
    unread = tally.damaged_captures + tally.broken_records
    if unread:
        first = [*tally.damaged, *tally.broken][0]
        others = f", and {unread - 1:,} more cannot be read either" if unread > 1 else ""
        raise InputError(
            f"{first}{others}", remedy="Mend it, or leave out --strict: then what can be read of it is used"
        )


def warn_of_losses(tally: Tally) -> None:
    """Says on stderr which captures were not read to their end, and which files were none."""
    for message in tally.damaged:
        warn(message)
    if tally.damaged_captures > len(tally.damaged):
        warn(f"{tally.damaged_captures - len(tally.damaged)} more captures were not read to their end")
    for message in tally.broken[:_BROKEN_SHOWN]:
        warn(message)
    if tally.broken_records > _BROKEN_SHOWN:
        warn(f"{tally.broken_records - _BROKEN_SHOWN:,} more records cannot be read")
    _account_of_logs(tally)
    for name in tally.passed_over:
        warn(f"{name}: no capture, passed over")
    if tally.passed_over_files > len(tally.passed_over):
        warn(f"{tally.passed_over_files - len(tally.passed_over)} more files that are no captures were passed over")
    for what, count in tally.missing.items():
        warn(f"{what}: {count:,}")


def _account_of_logs(tally: Tally) -> None:
    """How much of flow logs was used, and what they do not tell."""
    if tally.log_records:
        note(f"{tally.log_records:,} records of flow logs, {tally.log_records_used:,} of them used")
    if tally.log_records_unplaced:
        unplaced = f"{tally.log_records_unplaced:,} records tell of connections without saying who is at one end"
        warn(f"{unplaced}: what nobody seems to have used may be in use")
    for kind, untold in sorted(tally.untold.items()):
        note(f"{kind} does not tell: {'; '.join(untold)}")


def warn_of_unmatched(selector: LabelSelector | None, cluster: Cluster) -> None:
    """Says on stderr that no pod has the labels of `-l`: a misspelt one would only look empty."""
    if selector is None:
        return
    pods = (pod.labels for pod in cluster.inventory.pods)
    templates = (workload.template_labels for workload in cluster.inventory.workloads.values())
    if not any(selector.matches(labels) for found in (pods, templates) for labels in found):
        warn(f"no pod has labels that match {selector}")


def warn_of_unknown_namespaces(wanted: Iterable[str] | None, cluster: Cluster) -> None:
    """Says on stderr which namespaces of `-n` the cluster does not have: a misspelt one would only look empty."""
    for name in sorted(set(wanted or ()) - cluster.inventory.namespaces.keys()):
        warn(f"the cluster has no namespace {name}")


def warn(message: str) -> None:
    """One line on stderr about something that may matter and does not stop the work."""
    note(f"warning: {message}")


def note(message: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"netpol: {plain(message)}\n")


def refuse_shared_stdin(*arguments: Sequence[str]) -> None:
    """Standard input can feed one thing only.

    Raises:
        UsageError: It is named in several arguments.
    """
    if sum(STDIN in words for words in arguments) > 1:
        raise UsageError(
            "- is named for two things", remedy="Standard input can be read once only: name a file for the other"
        )
