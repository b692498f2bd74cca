"""How far the sequence numbers of connections went: it tells of payload and acknowledgements that were not captured.

The filter lets a connection's first and last packets through, and few between. But TCP numbers every byte (RFC 9293,
3.4): a FIN that is 5,000 behind the SYN says that 4,999 bytes went between them, and an acknowledgement says how much
of the other direction arrived.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.capture.packets import PacketBatch
from netpol.capture.views import firsts
from netpol.flows.pieces import ends_of
from netpol.flows.records import DATA, FROM_HIGH, HIGH_CLIENT, LOW_CLIENT, NEVER, NO_CLIENT
from netpol.model.flow import TCP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netpol.flows.records import Records

STREAM: Final = np.dtype(
    [
        ("key", np.uint64),  # the hash of the 5-tuple; its last bit says that the high end sends
        ("low", np.uint32),  # the least sequence number that was seen, and behind the greatest
        ("high", np.uint32),
        ("payload", np.int64),  # bytes in packets that were captured
        ("acked", np.bool_),  # the other end acknowledged something of it, be it by a RST
        ("reset", np.bool_),  # it ended with a RST
        ("closed", np.bool_),  # it ended with a FIN, whose number is counted
    ]
)

Streams = np.ndarray[tuple[int], np.dtype[np.void]]
"""A structured array of STREAM: one direction of a connection each, ascending by key."""

_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
_NOT_DATA: Final = 2
"""A FIN that was not seen takes one number (RFC 9293, 3.4), and a keep-alive goes one back (3.8.4): no payload."""
_LAST: Final = np.uint64(1)


def no_streams() -> Streams:
    """None at all."""
    return np.zeros(0, STREAM)


def streams_of(batch: PacketBatch) -> Streams:
    """What the packets of a batch say, without those that open a connection: their numbers are in its record."""
    reset = (batch.flags & _RST) != 0
    chosen = (batch.protocol == TCP) & ((batch.flags & _SYN) == 0)
    # A RST that refuses a SYN has no number of its own (RFC 9293, 3.10.7.1).
    rows = np.flatnonzero(chosen & ~(reset & (batch.sequence == 0)))
    if not len(rows):
        return no_streams()
    columns = {each.name: getattr(batch, each.name)[rows] for each in fields(PacketBatch) if each.name != "family"}
    its = PacketBatch(family=batch.family, **columns)
    hashes, from_high = ends_of(its)
    key = hashes & ~_LAST | from_high
    sent = np.zeros(len(rows), STREAM)
    sent["closed"] = (its.flags & _FIN) != 0
    sent["key"], sent["low"], sent["high"] = key, its.sequence, its.sequence + its.payload + sent["closed"]
    sent["payload"], sent["reset"] = its.payload, reset[rows]
    acknowledges = (its.flags & _ACK) != 0
    received = np.zeros(np.count_nonzero(acknowledges), STREAM)
    received["key"] = key[acknowledges] ^ _LAST
    received["low"] = received["high"] = its.acknowledgement[acknowledges]
    received["acked"] = True
    return joined_streams([sent, received])


def joined_streams(parts: Sequence[Streams]) -> Streams:
    """One stream for each key. Numbers wrap around at 2**32, so those further apart than 2 GiB are not understood."""
    streams = np.concatenate(parts)
    order = np.argsort(streams["key"], kind="stable")
    streams = streams[order]
    starts = firsts(streams["key"]) if len(streams) else np.empty(0, np.int64)
    if len(starts) == len(streams):
        return streams
    result = streams[starts]
    base = np.repeat(result["low"], np.diff(starts, append=len(streams)))
    for name, reduction in (("low", np.minimum), ("high", np.maximum)):
        away = (streams[name] - base).view(np.int32)
        result[name] = base[starts] + reduction.reduceat(away, starts).view(np.uint32)
    result["payload"] = np.add.reduceat(streams["payload"], starts)
    for name in ("acked", "reset", "closed"):
        result[name] = np.logical_or.reduceat(streams[name], starts)
    return result


def told(records: Records, streams: Streams) -> tuple[Records, NDArray[np.bool_]]:
    """What the streams add to the records of the same 5-tuples.

    Where a 5-tuple has several records, its streams are several connections' and say nothing.

    Returns:
        The records with the payload that was not captured in `bytes` and as DATA; and bool[n], the client of the
        record acknowledged the server's SYN.
    """
    acknowledged = np.zeros(len(records), np.bool_)
    records = records.copy()
    alone = np.flatnonzero(records["protocol"] == TCP)
    if not len(alone) or not len(streams):
        return records, acknowledged
    hashes = records["hash"]
    ordered = np.sort(hashes)
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    alone = alone[~np.isin(hashes[alone], again)]
    for from_high in (False, True):
        key = hashes[alone] & ~_LAST | np.uint64(from_high)
        at = np.minimum(np.searchsorted(streams["key"], key), len(streams) - 1)
        found = streams["key"][at] == key
        rows, its = alone[found], streams[at[found]]
        _tell(records, rows, its, from_high=from_high, acknowledged=acknowledged)
    return records, acknowledged


def _tell(
    records: Records, rows: NDArray[np.intp], its: Streams, *, from_high: bool, acknowledged: NDArray[np.bool_]
) -> None:
    """The streams that one end of some records sent."""
    side = records["side"][rows]
    client = side == (HIGH_CLIENT if from_high else LOW_CLIENT)
    server = (side == (LOW_CLIENT if from_high else HIGH_CLIENT)) & (records["synack"][rows] != NEVER)
    begin = np.where(client, records["client_isn"][rows], records["server_isn"][rows]) + np.uint32(1)
    begin = np.where(client | server, begin, its["low"])
    span = (its["high"] - begin).view(np.int32).astype(np.int64) - its["closed"]
    loaded = span > _NOT_DATA
    records["bytes"][rows] += np.where(loaded, np.maximum(span - its["payload"], 0), 0)
    records["events"][rows] |= loaded.astype(np.uint16) * np.uint16(DATA << (FROM_HIGH if from_high else 0))
    # The client's number beyond its SYN's; the server's, in a RST, that only an acknowledgement can have told it to
    # send; an acknowledgement of the server's SYN, be it by a RST.
    sent = client & (span > 0)
    beyond = server & its["reset"] & ((its["low"] - begin).view(np.int32) >= 0)
    acknowledged[rows] |= (side != NO_CLIENT) & (sent | beyond | (server & its["acked"]))
