"""How much the assembly holds in memory, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SECOND: Final = 1_000_000_000
"""Nanoseconds."""

SILENCE: Final = 120 * SECOND
"""UDP, SCTP: a longer silence ends a connection. TCP: packets later than this after its end are not its own."""

LONG_IDLE: Final = (2 * 3600 + 4 * 60) * SECOND
"""An open TCP connection that was silent for longer is given up: the least that NATs must wait (RFC 5382, REQ-5)."""

EARLY: Final = SECOND // 20
"""Packets may be captured so long before the SYN that they follow: several interfaces or queues write into one file."""

CLOCKS: Final = SECOND
"""By how much the clocks of two nodes may differ; NTP keeps them within milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds in numbers of things; a note says how often one of them changed the result, which `rows` never does.

    Attributes:
        connections: Connections that are followed at once, 130 bytes each; beyond it the most silent are closed.
        pieces: Partial connections that are collected before they are joined, 130 bytes each.
        undecided: Connections without a handshake that wait for evidence from the rest of the data, 130 bytes each;
            beyond it the oldest are decided by what is known by then.
        servers: Confirmed servers that are remembered.
        rows: Rows in memory, 97 bytes each; beyond it sorted runs go to temporary files.
    """

    connections: int = 1 << 17
    pieces: int = 1 << 16
    undecided: int = 1 << 16
    servers: int = 1 << 17
    rows: int = 1 << 16

    def __post_init__(self) -> None:
        for name in ("connections", "pieces", "undecided", "servers", "rows"):
            if getattr(self, name) < 1:
                msg = f"limit of {name} below 1"
                raise ValueError(msg)
