"""Which handshakes were completed, although the client's acknowledgement is a packet like millions and not captured.

Proof is whatever comes later: a FIN, a ClientHello, a sampled packet, a RST that acknowledges (`streams`). Without any,
silence tells: a SYN-ACK that is not acknowledged is repeated after 1 s at first (RFC 6298, 2.1), 3 s in older systems
(RFC 2988, 2.1), and then after twice as long each time (RFC 6298, 5.5). So when SYN or SYN-ACK came last `T` after the
first SYN-ACK, and nothing within `T` + 3 s of that, then the server waits no longer: it got its answer. A server that
repeated it for long may have given up instead (Linux does so after five times), and a RST is no acknowledgement.
Where packets were dropped silence means nothing.

A server that is flooded with SYNs answers with cookies, of which it remembers nothing and so repeats nothing (RFC 4987,
3.6). So silence is not believed of more than MOST_SILENT handshakes with one server in one window, unless more of them
were proven.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.flows.limits import SECOND
from netpol.flows.records import ACK, FIN, FROM_HIGH, HIGH_CLIENT, NEVER, NO_CLIENT, QUOTED, RST, mixed
from netpol.model.flow import TCP

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netpol.flows.records import Records

FIRST_REPETITION: Final = 3 * SECOND
SLACK: Final = SECOND // 2
"""Timers fire late on busy machines."""
LONGEST_TRYING: Final = 8 * SECOND
"""Servers that repeated their SYN-ACK for longer may be at the end of their patience."""
MOST_SILENT: Final = 100
"""Cookies are sent when more attempts wait than a server allows, 128 and more unless it asked for less (listen(2))."""
_ON_ITS_WAY: Final = SECOND
"""A SYN's answer may come so much later."""

LONGEST_WAIT: Final = 2 * LONGEST_TRYING + FIRST_REPETITION + SLACK
"""After so long every handshake is settled."""


def with_acknowledgement(records: Records, which: NDArray[np.bool_]) -> Records:
    """The same records, the chosen ones with the client's acknowledgement."""
    result = records.copy()
    high = result["side"] == HIGH_CLIENT
    mark = np.where(high, np.uint16(ACK << FROM_HIGH), np.uint16(ACK))
    result["events"] |= np.where(which, mark, np.uint16(0))
    return result


def unproven(records: Records) -> NDArray[np.bool_]:
    """bool[n]: SYN and SYN-ACK were seen, and neither an acknowledgement of any kind nor a refusal."""
    events = records["events"]
    both = (records["side"] != NO_CLIENT) & (records["syn"] != NEVER) & (records["synack"] != NEVER)
    any_of = ACK | FIN | RST | QUOTED
    result: NDArray[np.bool_] = both & (records["protocol"] == TCP) & ((events & _either(any_of)) == 0)
    return result


def proven_by_server(records: Records) -> NDArray[np.bool_]:
    """bool[n]: the server went on after its SYN-ACK, as it only does when that was acknowledged."""
    shift = np.where(records["side"] == HIGH_CLIENT, 0, FROM_HIGH).astype(np.uint16)
    went_on = (records["events"] >> shift & np.uint16(ACK | FIN)) != 0
    both = (records["syn"] != NEVER) & (records["synack"] != NEVER)
    result: NDArray[np.bool_] = both & (records["side"] != NO_CLIENT) & (records["protocol"] == TCP) & went_on
    return result


def settled_at(records: Records) -> NDArray[np.int64]:
    """int64[n]: when silence since the last SYN or SYN-ACK is an answer. NEVER where it will not be one."""
    trying = records["anchor"] - np.where(records["synack"] == NEVER, records["anchor"], records["synack"])
    patient = (trying >= 0) & (trying <= LONGEST_TRYING)
    waiting = np.where(patient, trying, 0) + FIRST_REPETITION + SLACK
    return np.where(patient, records["anchor"] + waiting, NEVER)


def flooded(records: Records, silent: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool[n]: handshakes that only silence speaks for, with a server that has too many of that kind."""
    rows = np.flatnonzero(silent)
    if len(rows) <= MOST_SILENT:
        return np.zeros(len(records), np.bool_)
    both = (records["protocol"] == TCP) & (records["syn"] != NEVER) & (records["synack"] != NEVER) & ~silent
    proven = np.flatnonzero(both & ((records["events"] & _either(ACK)) != 0))
    silents, others = _servers(records.take(rows)), np.sort(_servers(records.take(proven)))
    ordered = np.sort(silents)
    many = np.searchsorted(ordered, silents, "right") - np.searchsorted(ordered, silents, "left")
    known = np.searchsorted(others, silents, "right") - np.searchsorted(others, silents, "left")
    result = np.zeros(len(records), np.bool_)
    result[rows] = (many > MOST_SILENT) & (many > known)
    return result


def _servers(records: Records) -> NDArray[np.uint64]:
    """uint64[n]: stands for the server's address and port."""
    low = records["side"] == HIGH_CLIENT
    words = [np.where(low, records[f"low{part}"], records[f"high{part}"]) for part in ("", "_high", "_port")]
    return mixed([word.astype(np.uint64) for word in words])


def on_their_way(records: Records, now: int) -> NDArray[np.bool_]:
    """bool[n]: SYNs so young that their answer may still come."""
    lone = (records["side"] != NO_CLIENT) & (records["syn"] != NEVER) & (records["synack"] == NEVER)
    open_ = (records["events"] & _either(ACK | FIN | RST | QUOTED)) == 0
    young = now - records["anchor"] < _ON_ITS_WAY
    result: NDArray[np.bool_] = lone & open_ & young & (records["protocol"] == TCP)
    return result


def _either(events: int) -> np.uint16:
    return np.uint16(events << FROM_HIGH | events)
