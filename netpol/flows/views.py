"""One connection captured at several points is one connection.

Netfilter's address translation leaves TCP's sequence numbers alone, so the two initial sequence numbers name a
connection on the client's node and on the server's, before and after DNAT and SNAT, inside a tunnel and outside;
SCTP's initiate tags do the same. Each record here is what was seen of it under one 5-tuple: a view.

Which view is nearer to the client is read off each view's own clock: between the SYN and the SYN-ACK lies the way to
the server and back, so the gap is larger the nearer the capture point is to the client. Clocks of different nodes
are never compared unless that leaves a tie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.capture.views import distinct
from netpol.flows.limits import CLOCKS, EARLY, SILENCE
from netpol.flows.records import (
    DATA,
    FROM_HIGH,
    HIGH_CLIENT,
    LOW_CLIENT,
    NEVER,
    NO_CLIENT,
    Records,
    opened,
    put,
    stacked,
)
from netpol.flows.sequence_numbers import told_apart
from netpol.model.flow import ICMP, ICMPV6, NO_TENANCY, TCP, UDP

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netpol.flows.knowledge import Knowledge

ASKER, ANSWERER = 3, 2
"""Stand in place of ICMP's ports: a request and its reply meet, two hosts that ask each other do not."""

_MOST_ATTEMPTS: Final = 3
"""More 5-tuples than this with one client port and sequence number are a scan: nmap probes so."""


def client_first(records: Records, knowledge: Knowledge | None) -> Records:
    """The same records with the presumed client as the low end: who opened it, else who sent first."""
    swap = (records["side"] == HIGH_CLIENT) | ((records["side"] == NO_CLIENT) & records["opened_high"])
    icmp = (records["protocol"] == ICMP) | (records["protocol"] == ICMPV6)
    swap = np.where(icmp, records["high_port"] == ASKER, swap)
    if knowledge is not None:
        loose = np.flatnonzero(~opened(records) & ~records["tracked"])
        low, high = (virtual_ends(records.take(loose), end, knowledge) for end in ("low", "high"))
        swap[loose[low & ~high]] = True
        swap[loose[high & ~low]] = False
    return swapped(records, swap)


def swapped(records: Records, swap: NDArray[np.bool_]) -> Records:
    """The same records, the chosen ones with their ends exchanged."""
    rows = np.flatnonzero(swap)
    if not len(rows):
        return records
    before = records.take(rows)
    after = before.copy()
    for one, other in (("low_high", "high_high"), ("low", "high"), ("low_port", "high_port")):
        after[one], after[other] = before[other], before[one]
    after["events"] = before["events"] >> np.uint16(FROM_HIGH) | before["events"] << np.uint16(FROM_HIGH)
    after["opened_high"] = ~before["opened_high"]
    after["side"] = np.array([HIGH_CLIENT, LOW_CLIENT, NO_CLIENT], np.uint8)[before["side"]]
    result = stacked([records])
    put(result, rows, after)
    return result


def virtual_ends(records: Records, end: str, knowledge: Knowledge) -> NDArray[np.bool_]:
    """bool[n]: the address of the `low` or `high` end is a Service's."""
    return knowledge.virtual(records["family"], addresses(records, end))


def addresses(records: Records, end: str) -> NDArray[np.uint64]:
    """uint64[n, 2]: addresses of the `low` or `high` ends."""
    return np.stack([records[f"{end}_high"], records[end]], axis=1)


def kept_together(table: Records, staying: NDArray[np.bool_], knowledge: Knowledge | None) -> NDArray[np.bool_]:
    """bool[n]: records that are views of the same connection as one that stays."""
    if not staying.any():
        return staying
    labels = _labels(client_first(table, knowledge), knowledge)
    stays = np.zeros(len(table), np.bool_)
    stays[labels[staying]] = True
    return stays[labels]


def folded(records: Records, knowledge: Knowledge | None) -> Records:
    """One record per connection, the client as its low end.

    The client is the one that the view nearest to the client shows, the server the one that the view nearest to the
    server shows; a Service's virtual address gives way to any other. A client whom the cluster does not know gives way
    to one whom it does: a node that rewrote it on its way in, and is all that the server and its policies see. Packets
    and bytes of all views are added up; a SYN or SYN-ACK that one of them shows was there.
    """
    records = client_first(records, knowledge)
    return _together(records, _labels(records, knowledge), knowledge)[0]


def folded_by(records: Records, knowledge: Knowledge | None) -> tuple[Records, NDArray[np.intp]]:
    """The same, and which of them each of the records went into: intp[n]."""
    records = client_first(records, knowledge)
    labels = _labels(records, knowledge)
    result, labels_of_result = _together(records, labels, knowledge)
    place = np.empty(len(records), np.intp)
    place[labels_of_result] = np.arange(len(result))
    return result, place[labels]


def _together(
    records: Records, labels: NDArray[np.intp], knowledge: Knowledge | None
) -> tuple[Records, NDArray[np.intp]]:
    """One record for each label, and the label of each."""
    counts = np.bincount(labels, minlength=len(records))
    if not np.any(counts > 1):
        return records, labels
    alone = counts[labels] == 1
    several = records.compress(~alone)
    merged = _merged(several, labels[~alone], knowledge)
    return stacked([records.compress(alone), merged]), np.concatenate([labels[alone], np.flatnonzero(counts > 1)])


def _merged(views: Records, labels: NDArray[np.intp], knowledge: Knowledge | None) -> Records:
    known = (views["syn"] != NEVER) & (views["synack"] != NEVER)
    gap = np.where(known, views["synack"] - views["syn"], -1)
    low = [views[name] for name in ("low_port", "low", "low_high")]
    high = [views[name] for name in ("high_port", "high", "high_high")]
    virtual = np.zeros(len(views), np.bool_) if knowledge is None else virtual_ends(views, "high", knowledge)
    by_client = np.lexsort((*high, *low, views["syn"], -gap, labels))
    by_server = np.lexsort((*low, *high, -views["syn"], np.where(known, gap, NEVER), virtual, labels))
    ordered = labels[by_client]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    rows = views.take(by_client)
    result = rows.take(starts)
    at_server = views.take(by_server[starts])
    for name in ("high_high", "high", "high_port"):
        result[name] = at_server[name]
    if knowledge is not None:
        rewritten = (_tenants(result, knowledge) == NO_TENANCY) & (_tenants(at_server, knowledge) >= 0)
        for name in ("low_high", "low", "low_port"):
            result[name] = np.where(rewritten, at_server[name], result[name])
    for name, reduction in (
        ("packets", np.add),
        ("bytes", np.add),
        ("events", np.bitwise_or),
        ("first", np.minimum),
        ("last", np.maximum),
        ("syn", np.minimum),
        ("synack", np.minimum),
        ("early", np.logical_or),
        ("told", np.maximum),
        ("minutes", np.bitwise_or),
        ("tracked", np.logical_or),
    ):
        result[name] = reduction.reduceat(rows[name], starts)
    return result


def _tenants(records: Records, knowledge: Knowledge) -> NDArray[np.int32]:
    """int32[n]: who held the address of the low end, or NO_TENANCY or AMBIGUOUS_TENANCY."""
    return knowledge.tenancies(records["family"], addresses(records, "low"), records["first"], records["last"])


def _labels(records: Records, knowledge: Knowledge | None) -> NDArray[np.intp]:
    """intp[n]: views of one connection have the same number, that of one of them."""
    labels = np.arange(len(records))
    _label_handshakes(records, labels, knowledge)
    _label_attempts(records, labels)
    if knowledge is not None:
        _label_virtual(records, labels, knowledge)
    return labels


def _label_handshakes(records: Records, labels: NDArray[np.intp], knowledge: Knowledge | None) -> None:
    rows = np.flatnonzero(records["synack"] != NEVER)
    names = records["client_isn"][rows].astype(np.uint64) << np.uint64(32) | records["server_isn"][rows]
    alike = repeated(names)
    rows, names = rows[alike], names[alike]
    if not len(rows):
        return
    order = np.lexsort((records["first"][rows], records["protocol"][rows], names))
    rows, names = rows[order], names[order]
    new = np.ones(len(rows), np.bool_)
    first, protocol = records["first"][rows], records["protocol"][rows]
    new[1:] = (names[1:] != names[:-1]) | (protocol[1:] != protocol[:-1]) | (first[1:] - first[:-1] > SILENCE)
    group = told_apart(records.take(rows), np.cumsum(new) - 1, knowledge)
    first_of = np.unique(group, return_index=True)[1]
    labels[rows] = rows[first_of][group]


def _label_attempts(records: Records, labels: NDArray[np.intp]) -> None:
    """Labels a SYN that was translated on its way and never answered: only the server's address differs."""
    rows = np.flatnonzero((records["syn"] != NEVER) & (records["protocol"] == TCP))
    names = records["low"][rows] ^ records["low_high"][rows] * np.uint64(0x9E3779B97F4A7C15)
    names = names * np.uint64(0xC2B2AE3D27D4EB4F) ^ records["client_isn"][rows].astype(np.uint64) << np.uint64(16)
    names ^= records["low_port"][rows]
    alike = repeated(names)
    rows = rows[alike]
    if not len(rows):
        return
    keys = [records[name][rows] for name in ("client_isn", "low_port", "low", "low_high")]
    order = np.lexsort((records["syn"][rows], *keys))
    rows = rows[order]
    new = np.ones(len(rows), np.bool_)
    syn = records["syn"][rows]
    new[1:] = syn[1:] - syn[:-1] > EARLY
    for key in keys:
        ordered = key[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(new)
    group = np.cumsum(new) - 1
    size = np.bincount(group)
    unanswered = records["synack"][rows] == NEVER
    addresses_differ = np.minimum.reduceat(records["high"][rows], starts) != np.maximum.reduceat(
        records["high"][rows], starts
    )
    answered = np.add.reduceat((~unanswered).astype(np.intp), starts)
    usable = ((size > 1) & (size <= _MOST_ATTEMPTS) & addresses_differ & (answered <= 1))[group]
    # An answered view lends its number, so that views folded by their handshake stay together.
    target = np.maximum.reduceat(np.where(unanswered, -1, labels[rows]), starts)
    target = np.where(target >= 0, target, rows[starts])
    labels[rows[usable]] = target[group][usable]


def _label_virtual(records: Records, labels: NDArray[np.intp], knowledge: Knowledge) -> None:
    """Labels a conversation with a Service's address like the same client's with a pod at the same time.

    These have no handshake to know them by: datagrams, attempts, what is older than the capture. They last for
    milliseconds often, and the clocks of the two nodes that saw them need not agree so well.
    """
    loose = (records["protocol"] == UDP) | ((records["protocol"] == TCP) & (records["synack"] == NEVER))
    rows = np.flatnonzero(loose)
    if not len(rows):
        return
    virtual = virtual_ends(records.take(rows), "high", knowledge)
    if not virtual.any():
        return
    keys = [records[name][rows] for name in ("client_isn", "low_port", "low", "low_high", "protocol")]
    order = np.lexsort((records["first"][rows], *keys))
    rows, virtual = rows[order], virtual[order]
    same = np.ones(len(rows) - 1, np.bool_)
    for key in keys:
        ordered = key[order]
        same &= ordered[1:] == ordered[:-1]
    first, last = records["first"][rows], records["last"][rows]
    same &= (virtual[1:] != virtual[:-1]) & (first[1:] <= last[:-1] + CLOCKS)
    distance = np.where(same, first[1:] - first[:-1], NEVER)
    before = np.append(NEVER, distance)
    after = np.append(distance, NEVER)
    nearest = np.minimum(before, after)
    chosen = np.flatnonzero(virtual & (nearest != NEVER))
    partner = np.where(before[chosen] <= after[chosen], chosen - 1, chosen + 1)
    labels[rows[chosen]] = labels[rows[partner]]


def repeated(names: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """bool[n]: the name is there more than once."""
    if len(names) < 2:
        return np.zeros(len(names), np.bool_)
    ordered = np.sort(names)
    twice = distinct(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice):
        return np.zeros(len(names), np.bool_)
    at = np.minimum(np.searchsorted(twice, names), len(twice) - 1)
    result: NDArray[np.bool_] = twice[at] == names
    return result


def data_both_ways(records: Records) -> NDArray[np.bool_]:
    """bool[n]: payload went both ways."""
    both = np.uint16(DATA << FROM_HIGH | DATA)
    result: NDArray[np.bool_] = (records["events"] & both) == both
    return result
