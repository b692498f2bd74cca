"""What became of a connection, and how it is known who opened it.

Records have the presumed client as their low end (see `views.folded`): who sent the SYN, or received the SYN-ACK,
else who was seen first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.flows.records import (
    ACK,
    DATA,
    FROM_HIGH,
    NEVER,
    NO_CLIENT,
    QUOTED,
    RST,
    SEEN,
    SYN,
    SYNACK,
    Records,
)
from netpol.flows.views import addresses
from netpol.model.flow import ICMP, ICMPV6, PORT_PROTOCOLS, SCTP, TCP, Direction, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netpol.flows.knowledge import Knowledge

FIRST_EPHEMERAL: Final = 32_768
"""Linux hands out client ports from here on (net.ipv4.ip_local_port_range); servers listen below it."""

_SERVER: Final = FROM_HIGH
_WITH_PORTS: Final = np.zeros(256, np.bool_)
_WITH_PORTS[list(PORT_PROTOCOLS)] = True
UNDECIDED: Final = 255
"""Stands for a direction that needs the rest of the data."""


def has_port(protocol: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """bool[n]: TCP, UDP or SCTP."""
    return _WITH_PORTS[protocol]


def outcomes(records: Records) -> NDArray[np.uint8]:
    """uint8[n] of Outcome.

    A handshake is complete with SYN, SYN-ACK and the client's acknowledgement, which a RST is not. An attempt that
    was reset or that an unreachable quoted before it was complete was refused. A SYN whose connection goes on
    although its SYN-ACK was not captured is midstream: the handshake was lost, not refused.
    """
    events = records["events"]

    def any_of(of: int) -> NDArray[np.bool_]:
        result: NDArray[np.bool_] = (events & np.uint16(of)) != 0
        return result

    handshakes = (records["protocol"] == TCP) | (records["protocol"] == SCTP)
    opened = (records["side"] != NO_CLIENT) & (records["syn"] != NEVER)
    answered = records["synack"] != NEVER
    complete = opened & answered & any_of(ACK)
    turned_down = any_of(RST | RST << _SERVER | QUOTED | QUOTED << _SERVER)
    lost = opened & ~answered & any_of(ACK | DATA << _SERVER) & handshakes
    with_handshake = np.select(
        [complete, ~opened | lost, turned_down],
        [Outcome.ESTABLISHED, Outcome.MIDSTREAM, Outcome.REFUSED],
        Outcome.UNANSWERED,
    )
    icmp = (records["protocol"] == ICMP) | (records["protocol"] == ICMPV6)
    both_ways = any_of(SEEN) & any_of(SEEN << _SERVER)
    replied = np.where(icmp, any_of(SYN) & any_of(SYNACK << _SERVER), both_ways)
    without = np.select([replied, turned_down], [Outcome.ESTABLISHED, Outcome.REFUSED], Outcome.UNANSWERED)
    return np.where(handshakes, with_handshake, without).astype(np.uint8)


def directions(
    records: Records, outcome: NDArray[np.uint8], knowledge: Knowledge | None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """What one connection and the cluster show by themselves.

    Returns:
        uint8[n] of Direction, UNDECIDED where the rest of the data has to be asked; and bool[n], the high end is the
        client.
    """
    events = records["events"]
    opened = records["side"] != NO_CLIENT
    syn = opened & (records["syn"] != NEVER)
    # A lone SYN-ACK can be a stealth scan's. It is none where the client acknowledges it, or the server goes on.
    followed = (events & np.uint16(ACK | ACK << _SERVER)) != 0
    synack = opened & (records["synack"] != NEVER) & followed
    ports = has_port(records["protocol"])
    result = np.full(len(records), UNDECIDED, np.uint8)
    result[~ports] = Direction.UNKNOWN
    # An unreachable answers the datagram that it quotes, and so shows who sent first.
    replied = ((outcome == Outcome.ESTABLISHED) | (outcome == Outcome.REFUSED)) & ~syn
    result[replied] = Direction.REPLY
    asked = ~ports & ((events & np.uint16(SYN | SYNACK << _SERVER)) != 0) & ~replied
    result[asked] = Direction.SYN
    swap = np.zeros(len(records), np.bool_)
    if knowledge is not None:
        _declared(records, result, swap, ports & ~syn & ~synack & ~records["tracked"], knowledge)
    result[ports & records["tracked"]] = Direction.TRACKED
    result[synack] = Direction.SYNACK
    result[syn] = Direction.SYN
    return result, swap


def _declared(
    records: Records, result: NDArray[np.uint8], swap: NDArray[np.bool_], asked: NDArray[np.bool_], knowledge: Knowledge
) -> None:
    rows = np.flatnonzero(asked)
    some = records.take(rows)
    low, high = (
        knowledge.declared(some["family"], addresses(some, end), some["protocol"], some[f"{end}_port"])
        for end in ("low", "high")
    )
    # Of an answered conversation the first sender is the client, unless only its port is declared.
    one = low ^ high
    result[rows[one & high]] = Direction.DECLARED
    result[rows[one & low]] = Direction.DECLARED
    swap[rows[one & low]] = True


def multicast(records: Records) -> NDArray[np.bool_]:
    """bool[n]: the high end is a multicast or broadcast address (RFC 1112, RFC 919, RFC 4291)."""
    four = (records["family"] == 4) & ((records["high"] >> np.uint64(28) == 0xE) | (records["high"] == 0xFFFF_FFFF))
    six = (records["family"] == 6) & (records["high_high"] >> np.uint64(56) == 0xFF)
    result: NDArray[np.bool_] = four | six
    return result
