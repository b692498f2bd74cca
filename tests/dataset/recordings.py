"""Windows of made-up traffic, for tests that do not look into packets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.capture.packets import Tally
from netpol.dataset.window import Window
from netpol.flows.assemble import assemble
from netpol.flows.connections import joined
from netpol.flows.pieces import pieces_of, pieces_of_quotes
from netpol.flows.records import stacked
from tests.flows.columns import batch, quotes, rows
from tests.flows.reference import ACK, FIN, SECOND, SYN, Packet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.dataset.folder import Dataset
    from netpol.flows.records import Records

RUN = "0123456789abcdef" * 2
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
START = 1_800_000_000 * SECOND // HOUR * HOUR


def connection(number: int, time: int, *, last: int | None = None, server: int = 2) -> list[Packet]:
    """A whole TCP connection from 10.0.0.1, with data both ways; its end comes at `last`."""
    client, there = (1, 20000 + number), (server, 80)
    isn, answer = 1000 + number, 5000 + number
    end = time + SECOND if last is None else last
    return [
        Packet(time=time, source=client, destination=there, flags=SYN, sequence=isn),
        Packet(time=time + 500, source=there, destination=client, flags=SYN | ACK, sequence=answer,
               acknowledgement=isn + 1),
        Packet(time=time + 900, source=client, destination=there, flags=ACK, sequence=isn + 1, payload=10),
        Packet(time=time + 1500, source=there, destination=client, flags=ACK, sequence=answer + 1, payload=100),
        Packet(time=end, source=client, destination=there, flags=FIN | ACK, sequence=isn + 11),
        Packet(time=end + 500, source=there, destination=client, flags=FIN | ACK, sequence=answer + 101),
    ]  # fmt: skip


def windows_of(packets: Iterable[Packet], *, run: str = RUN, observer: str = "node-a", family: int = 4) -> list[Window]:
    """The packets by the minute, each minute's as one observer would write them down."""
    by_minute: dict[int, list[Packet]] = {}
    for packet in packets:
        by_minute.setdefault(packet.time // MINUTE, []).append(packet)
    result = []
    for number, minute in enumerate(sorted(by_minute)):
        plain, quoted = ([each for each in by_minute[minute] if each.quote is wanted] for wanted in (False, True))
        parts = [pieces_of(batch(plain, family))] if plain else []
        parts += [pieces_of_quotes(quotes(quoted, family))] if quoted else []
        result.append(
            Window(
                observer=observer,
                run=run,
                number=number,
                begin=minute * MINUTE,
                end=(minute + 1) * MINUTE,
                packets=len(by_minute[minute]),
                records=joined(stacked(parts)),
            )
        )
    return result


def flows_of(items: Iterable[Records]) -> dict[tuple[object, ...], tuple[object, ...]]:
    """The table of flows, as a mapping."""
    return rows(assemble(items))


def read(dataset: Dataset, tally: Tally | None = None) -> dict[tuple[object, ...], tuple[object, ...]]:
    """The flows of a dataset."""
    return flows_of(dataset.read(tally=Tally() if tally is None else tally))
