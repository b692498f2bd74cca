"""Windows as agents send them, made of packets."""

from __future__ import annotations

import random
import time

from netpol.dataset.window import Losses, Window
from netpol.dataset.window_codec import write_window
from netpol.flows.connections import joined
from netpol.flows.pieces import pieces_of
from tests.flows.columns import batch
from tests.flows.reference import SECOND, Packet

MINUTE = 60 * SECOND


def this_minute() -> int:
    """When the last whole minute began."""
    return (time.time_ns() // MINUTE - 1) * MINUTE


def handshake(at: int, client: int, port: int, server: int = 0x0A000002) -> list[Packet]:
    """One TCP connection that is opened: three packets."""
    ends = (client, port), (server, 80)
    return [
        Packet(time=at, source=ends[0], destination=ends[1], flags=2, sequence=port),
        Packet(time=at + 1000, source=ends[1], destination=ends[0], flags=18, sequence=7, acknowledgement=port + 1),
        Packet(time=at + 2000, source=ends[0], destination=ends[1], flags=16, sequence=port + 1, acknowledgement=8),
    ]


def window(
    *,
    observer: str = "node-a",
    run: str = "0123456789abcdef" * 2,
    number: int = 0,
    begin: int | None = None,
    connections: int = 1,
    losses: Losses | None = None,
    version: str = "0.1.0",
    network: int = 0,
) -> Window:
    """A window that holds so many connections, of clients in 10.N.0.0/16."""
    begin = this_minute() if begin is None else begin
    packets = [
        packet
        for each in range(connections)
        for packet in handshake(begin + each * 10_000, 0x0A000100 + (network << 16), _port(number * connections + each))
    ]
    return Window(
        observer=observer,
        run=run,
        number=number,
        begin=begin,
        end=begin + MINUTE,
        packets=len(packets),
        records=joined(pieces_of(batch(packets, 4))),
        losses=losses or Losses(),
        interfaces=3,
        version=version,
    )


def _port(count: int) -> int:
    """A port that no other connection of some thousands has."""
    return 20_000 + count % 40_000


def body(**wanted: object) -> tuple[str, bytes]:
    """The identity of such a window, and its bytes."""
    made = window(**wanted)  # type: ignore[arg-type]
    return made.identity, write_window(made)


def some_run(random: random.Random) -> str:
    """A run as an agent draws it."""
    return f"{random.getrandbits(128):032x}"
