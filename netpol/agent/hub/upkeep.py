"""The dataset kept in shape: few files, settled hours added up, nothing that is too old or too much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from netpol.agent.hub.watching import FOLDER
from netpol.cluster.history import History
from netpol.cluster.resolve import resolve
from netpol.cluster.timeline import Timeline
from netpol.dataset.layout import HOUR, hour_of
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from netpol.agent.hub.logs import Log
    from netpol.agent.hub.state import State
    from netpol.dataset.folder import Dataset
    from netpol.flows.table import FlowTable

_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long and how much is kept.

    Attributes:
        settle: Seconds after its end in which an hour's windows may still come: then it is added up.
        raw: Seconds for which windows are kept as recorded beside that; None for as long as the rest.
        whole: Seconds for which anything is kept; None for ever.
        size: Bytes of the dataset; None without a bound.
    """

    settle: int = 2 * 3600
    raw: int | None = None
    whole: int | None = None
    size: int | None = None


class Upkeep:
    """What the keeper does now and then.

    Args:
        root: Of the dataset.
        dataset: The same.
        state: Forgets what is not kept any more.
        retention: What is kept.
        log: Told what was done.
    """

    def __init__(self, root: Path, *, dataset: Dataset, state: State, retention: Retention, log: Log) -> None:
        self._root, self._dataset, self._state = root, dataset, state
        self._retention, self._log = retention, log
        self._rolled_up = -1

    def steps(self, now: int) -> Iterator[tuple[str, Callable[[], Any]]]:
        """What is to be done, each by itself, so that one that fails does not keep the others from being done.

        Args:
            now: Nanoseconds since the Unix epoch.
        """
        yield "compact", self._dataset.compact
        settled = hour_of(now - self._retention.settle * _SECOND) - 1
        if settled > self._rolled_up:
            yield "roll up", lambda: self._roll_up(settled)
        yield "prune", lambda: self._prune(now)

    def _roll_up(self, hour: int) -> None:
        """Once an hour, with what is known of the cluster at that time."""
        timeline = self._timeline()
        done = self._dataset.roll_up(hour, timeline, _named(timeline) if timeline is not None else None)
        if done:
            self._log.say("hours were added up", hours=len(done))
        self._rolled_up = hour

    def _timeline(self) -> Timeline | None:
        """The cluster's history; None where none is kept."""
        try:
            return Timeline.of(History.read(self._root / FOLDER).inventory())
        except InputError:
            return None

    def _prune(self, now: int) -> None:
        retention = self._retention
        pruned = self._dataset.prune(
            now=now,
            max_age=_nanoseconds(retention.whole),
            max_raw_age=_nanoseconds(retention.raw),
            max_bytes=retention.size,
        )
        if pruned.bytes:
            self._log.say(
                "what is too old or too much was deleted",
                hours=pruned.hours,
                raw_hours=pruned.raw_hours,
                bytes=pruned.bytes,
            )
        if retention.whole is not None:
            self._state.forget(now - retention.whole * _SECOND - HOUR)


def _named(timeline: Timeline) -> Callable[[FlowTable], Iterator[tuple[str | None, str | None]]]:
    """Names the ends of flows."""

    def ends(table: FlowTable) -> Iterator[tuple[str | None, str | None]]:
        for flow in resolve(table, timeline):
            yield flow.source_text, flow.destination_text

    return ends


def _nanoseconds(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * _SECOND
