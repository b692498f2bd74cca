"""Packets as objects to batches as columns, and tables to plain dictionaries."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from netpol.capture.packets import PacketBatch, Unreachables

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netpol.flows.table import FlowTable
    from tests.flows.reference import Packet

SIX = 0x20010DB8 << 96


def addresses(values: Iterable[int], family: int) -> Any:
    if family == 4:
        return np.array(list(values), np.uint32)
    return np.array([[(SIX | value) >> 64, value & (2**64 - 1)] for value in values], np.uint64).reshape(-1, 2)


def batch(packets: Sequence[Packet], family: int = 4) -> PacketBatch:
    def column(kind: Any, values: Iterable[int]) -> Any:
        return np.array(list(values), kind)

    return PacketBatch(
        family=family,
        time=column(np.int64, (p.time for p in packets)),
        length=column(np.uint32, (p.length for p in packets)),
        source=addresses((p.source[0] for p in packets), family),
        destination=addresses((p.destination[0] for p in packets), family),
        protocol=column(np.uint8, (p.protocol for p in packets)),
        source_port=column(np.uint16, (p.source[1] for p in packets)),
        destination_port=column(np.uint16, (p.destination[1] for p in packets)),
        flags=column(np.uint8, (p.flags for p in packets)),
        sequence=column(np.uint32, (p.sequence for p in packets)),
        acknowledgement=column(np.uint32, (p.acknowledgement for p in packets)),
        payload=column(np.uint32, (p.payload for p in packets)),
    )


def quotes(packets: Sequence[Packet], family: int = 4) -> Unreachables:
    whole = batch(packets, family)
    names = [name for name in Unreachables.__dataclass_fields__ if name != "family"]
    return Unreachables(family=family, **{name: getattr(whole, name) for name in names})


def items(packets: Sequence[Packet], cuts: Sequence[int] = (), family: int = 4) -> list[PacketBatch | Unreachables]:
    """Batches cut at the given positions; quoted packets in batches of their own, after the packets of their part."""
    bounds = [0, *sorted(cuts), len(packets)]
    result: list[PacketBatch | Unreachables] = []
    for start, end in pairwise(bounds):
        part = packets[start:end]
        result.append(batch([p for p in part if not p.quote], family))
        quoted = [p for p in part if p.quote]
        if quoted:
            result.append(quotes(quoted, family))
    return result


def rows(table: FlowTable) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    mask = 2**96 - 1
    return {
        (int(f.client) & mask, int(f.server) & mask, f.protocol, f.port, f.outcome.label): (
            f.connections,
            f.packets,
            f.bytes,
            f.first_seen,
            f.last_seen,
            int(f.two_way),
            int(f.direction),
        )
        for f in table
    }
