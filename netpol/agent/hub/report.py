"""How the nodes fare, as `/v1/status` and `netpol status -o json` tell it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from netpol.agent.hub.state import NodeState
from netpol.dataset import layout
from netpol.dataset.engine import Engine
from netpol.dataset.folder import Dataset
from netpol.dataset.index import Index
from netpol.flows.write import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.dataset.place import Place
    from netpol.dataset.window_rows import WindowRow

_SECOND: Final = 1_000_000_000


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One node.

    Attributes:
        node: Its name.
        records: Partial connections.
        windows: How many were kept.
        packets: That the agent read.
        first_seen: Begin of the first window, ISO 8601.
        last_seen: End of the last one.
        lag_seconds: From there to now.
        drops: What is missing, by reason; every reason is there.
        interfaces: Observed at the end.
        version: Of netpol on the node.
    """

    node: str
    records: int
    windows: int
    packets: int
    first_seen: str
    last_seen: str
    lag_seconds: int
    drops: dict[str, int]
    interfaces: int
    version: str

    @classmethod
    def of(cls, state: NodeState, now: int) -> Node:
        """From what its windows said.

        Args:
            state: That.
            now: Nanoseconds since the Unix epoch.
        """
        return cls(
            node=state.observer,
            records=state.records,
            windows=state.windows,
            packets=state.packets,
            first_seen=timestamp(state.first_begin),
            last_seen=timestamp(state.last_end),
            lag_seconds=max(0, (now - state.last_end) // _SECOND),
            drops={
                "kernel": state.kernel,
                "evicted": state.evicted,
                "undecodable": state.undecodable,
                "windows_given_up": state.given_up,
                "records_given_up": state.given_up_records,
                "windows_missing": state.missing,
            },
            interfaces=state.interfaces,
            version=state.version,
        )


class Waiting(msgspec.Struct, frozen=True):
    """What the hub took and has not put into its dataset yet."""

    windows: int
    bytes: int


class Followed(msgspec.Struct, frozen=True):
    """How the hub follows the cluster: whether it knows all, and each kind's state."""

    synced: bool
    kinds: dict[str, str]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes, and the hub where there is one.

    Attributes:
        time: When it was made, ISO 8601.
        nodes: By name.
        version: Of netpol at the hub.
        waiting: None without a hub.
        disk_free: Bytes at the hub.
        cluster: None where the hub does not follow it.
        unheard: Nodes of the cluster of which no window ever came.
    """

    time: str
    nodes: list[Node]
    version: str | None = None
    waiting: Waiting | None = None
    disk_free: int | None = None
    cluster: Followed | None = None
    unheard: list[str] = msgspec.field(default_factory=list)


def report_of_dataset(place: Place, now: int) -> Report:
    """How the nodes fared whose windows a dataset holds.

    Args:
        place: Of the dataset.
        now: Nanoseconds since the Unix epoch.

    Raises:
        InputError: It is no dataset.
    """
    Dataset.open(place)
    found: dict[str, NodeState] = {}
    runs: dict[str, dict[str, list[tuple[int, int]]]] = {}
    for row in rows_of_dataset(place):
        state = _state(row)
        found[row.observer] = _added(found[row.observer], state) if row.observer in found else state
        spans = runs.setdefault(row.observer, {}).setdefault(row.run, [])
        spans.append((row.number, row.number + row.windows))
    missing = {name: sum(map(_gaps, spans.values())) for name, spans in runs.items()}
    nodes = [Node.of(replace(found[name], missing=missing[name]), now) for name in sorted(found)]
    return Report(time=timestamp(now), nodes=nodes)


def rows_of_dataset(place: Place) -> Iterator[WindowRow]:
    """What a dataset says of its windows.

    Raises:
        InputError: A newer version of netpol wrote a file.
    """
    index = Index(Engine(place))
    with layout.looked_up(place, layout.WINDOWS):
        for there in index.each(layout.hours(place, layout.WINDOWS)):
            for file in (*there.raw, *there.rollups, *there.told):
                yield from file.rows


def _state(row: WindowRow) -> NodeState:
    losses = row.losses
    return NodeState(
        observer=row.observer,
        windows=row.windows,
        records=row.records,
        packets=row.packets,
        kernel=losses.kernel,
        evicted=losses.evicted,
        undecodable=sum(losses.undecodable.values()),
        given_up=losses.windows,
        given_up_records=losses.records,
        first_begin=row.begin,
        last_end=row.end,
        received=0,
        version=row.version,
        interfaces=row.interfaces,
        missing=0,
    )


def _added(one: NodeState, other: NodeState) -> NodeState:
    later = other if other.last_end >= one.last_end else one
    return replace(
        later,
        first_begin=min(one.first_begin, other.first_begin),
        windows=one.windows + other.windows,
        records=one.records + other.records,
        packets=one.packets + other.packets,
        kernel=one.kernel + other.kernel,
        evicted=one.evicted + other.evicted,
        undecodable=one.undecodable + other.undecodable,
        given_up=one.given_up + other.given_up,
        given_up_records=one.given_up_records + other.given_up_records,
    )


def _gaps(spans: Iterable[tuple[int, int]]) -> int:
    """Numbers between the first and the last that no span has: what was before, retention may have removed."""
    missing, reached = 0, None
    for begin, end in sorted(spans):
        missing += max(0, begin - reached) if reached is not None else 0
        reached = max(end, reached or 0)
    return missing
