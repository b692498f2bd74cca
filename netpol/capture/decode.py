"""One block of records, from frames to batches."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from netpol.capture.cursor import Block, Columns, Cursor, Quoted
from netpol.capture.link import decode_frames
from netpol.capture.network import decode_packets
from netpol.capture.packets import PacketBatch, Unreachables
from netpol.capture.plain import decode_plain
from netpol.capture.views import distinct

if TYPE_CHECKING:
    from netpol.capture.fragments import FragmentTable, Resolved
    from netpol.capture.name_reader import NameReader
    from netpol.capture.packets import Tally
    from netpol.capture.records import Records
    from netpol.capture.views import Ints

_Rows = TypeVar("_Rows", Columns, Quoted)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Item:
    """A batch and where its entries stand in the block.

    Attributes:
        batch: The packets.
        rows: int64[n], ascending: the records that they come from, or that made them known.
    """

    batch: PacketBatch | Unreachables
    rows: Ints


def decode(records: Records, fragments: FragmentTable, tally: Tally, names: NameReader | None = None) -> list[Item]:
    """Decodes the records of one block.

    Args:
        records: The block.
        fragments: What is known of the capture's fragmented packets.
        tally: Where the packets are counted.
        names: Reads what the packets say about names, if that is asked for.

    Returns:
        At most one batch of packets and one of quoted packets for each address family, none empty.
    """
    tally.packets += len(records)
    block = Block(records.data, records.heads, tally, payloads=None if names is None else [])
    plain = decode_plain(records)
    rows = np.arange(len(records)) if plain is None else np.flatnonzero(~plain.mask)
    at, captured = records.at[rows], records.captured[rows]
    cursor = Cursor(
        rows=rows,
        at=at,
        end=at + captured,
        wire_end=at + np.maximum(records.wire[rows], captured),
        offset=0,
    )
    if isinstance(records.linktype, int):
        block.frames.append((records.linktype, cursor))
    else:
        block.frames += [(int(each), cursor.take(records.linktype == each)) for each in distinct(records.linktype)]
    while block.frames or block.packets:
        if block.packets:
            decode_packets(block, *block.packets.pop())
        else:
            decode_frames(block, *block.frames.pop())
    if names is not None and block.payloads is not None:
        names.take(block, block.payloads + ([plain.payloads()] if plain is not None else []), records.time)
    decoded = _by_family(block.columns)
    if plain is not None:
        decoded[4] = plain.with_others(decoded.get(4))
    late = fragments.resolve(block.fragments, decoded, records.time, records.wire) if block.fragments else {}
    items = []
    for family in (4, 6):
        if family in decoded or family in late:
            items.append(_packets(records, decoded.get(family), late.get(family)))
            tally.decoded += len(items[-1].batch)
    for quoted in _by_family(block.quoted).values():
        columns = {each.name: getattr(quoted, each.name) for each in fields(quoted) if each.name != "rows"}
        items.append(Item(Unreachables(time=records.time[quoted.rows], **columns), quoted.rows))
    return items


def _by_family(parts: list[_Rows]) -> dict[int, _Rows]:
    """Parts of the same family as one, rows ascending."""
    result = {}
    for family in (4, 6):
        its = [part for part in parts if part.family == family and len(part.rows)]
        if len(its) == 1:
            result[family] = its[0]
        elif its:
            order = np.argsort(np.concatenate([part.rows for part in its]), kind="stable")
            result[family] = _joined(its, order)
    return result


def _joined(parts: list[_Rows], order: Ints) -> _Rows:
    columns: dict[str, Any] = {
        each.name: np.concatenate([getattr(part, each.name) for part in parts])[order]
        for each in fields(parts[0])
        if each.name != "family"
    }
    return type(parts[0])(family=parts[0].family, **columns)


def _packets(records: Records, decoded: Columns | None, late: Resolved | None) -> Item:
    """Packets and later fragments; fragments that waited stand right behind the first fragment that they waited for."""
    if decoded is None:
        assert late is not None  # noqa: S101 - one of them is there
        columns, time, length = late.columns, late.time, late.length
    else:
        columns = decoded
        every = len(decoded.rows) == len(records)
        time = records.time if every else records.time[decoded.rows]
        length = (records.wire if every else records.wire[decoded.rows]).astype(np.uint32)
        if late is not None:
            order = np.argsort(np.concatenate([decoded.rows, late.columns.rows]), kind="stable")
            columns = _joined([decoded, late.columns], order)
            time = np.concatenate([time, late.time])[order]
            length = np.concatenate([length, late.length])[order]
    batch = PacketBatch(
        family=columns.family,
        time=time,
        length=length,
        source=columns.source,
        destination=columns.destination,
        protocol=columns.protocol,
        source_port=columns.source_port,
        destination_port=columns.destination_port,
        flags=columns.flags,
        sequence=columns.sequence,
        acknowledgement=columns.acknowledgement,
        payload=columns.payload,
    )
    return Item(batch, columns.rows)
