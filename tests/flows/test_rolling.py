"""Hours that are assembled one after the other are what is assembled at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.flows.assemble import assemble
from netpol.flows.connections import joined
from netpol.flows.pieces import pieces_of, pieces_of_quotes
from netpol.flows.records import Records, empty, stacked
from netpol.flows.rolling import roll
from netpol.model.flow import Direction, Outcome
from tests.flows.columns import batch, quotes, rows
from tests.flows.reference import ACK, FIN, RST, SECOND, SYN, UDP, Packet
from tests.flows.test_properties import packets_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.flows.rows import Rows

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
BEGIN = 1_700_000_000 * SECOND // HOUR * HOUR


def pieces(packets: Sequence[Packet]) -> Records:
    plain, quoted = ([each for each in packets if each.quote is wanted] for wanted in (False, True))
    parts = [pieces_of(batch(plain))] if plain else []
    return joined(stacked([empty(), *parts, *([pieces_of_quotes(quotes(quoted))] if quoted else [])]))


def hour_by_hour(packets: Sequence[Packet]) -> tuple[list[list[Rows]], Records]:
    """The rows of each hour that has packets, and what may go on behind the last."""
    left, hours = empty(), []
    for hour in sorted({packet.time // HOUR for packet in packets}):
        part = pieces([packet for packet in packets if packet.time // HOUR == hour])
        part["minutes"] = np.uint64(1)
        table, left = roll([left, part], hour * HOUR, (hour + 1) * HOUR)
        hours.append([each.copy() for each in table.batches()])
    return hours, left


def added(packets: Sequence[Packet]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    hours, left = hour_by_hour(packets)
    return rows(assemble([*(each for hour in hours for each in hour), left]))


@st.composite
def talks(draw: st.DrawFn) -> list[Packet]:
    """Connections that go on for hours and end, or do not; attempts; datagrams; some seen twice, translated."""
    result: list[Packet] = []
    for number in range(draw(st.integers(1, 6))):
        time = BEGIN + draw(st.integers(0, 4 * 60)) * MINUTE + draw(st.integers(0, 59)) * SECOND
        kind = draw(st.sampled_from(["long", "long", "seen twice", "refused", "unanswered", "datagrams"]))
        client, server, again = (1, 30000 + number), (2, 80), (3, 8080)
        steps = draw(st.lists(st.sampled_from([1, 20, 100, 1700, 3700]), max_size=8))
        talk = (
            _datagrams(client, server, time, steps)
            if kind == "datagrams"
            else _talk(client, server, time, kind, steps, number)
        )
        result += talk
        if kind == "seen twice":
            to = {server: again, client: client}
            result += [
                Packet(time=each.time + 300, source=to[each.source], destination=to[each.destination], flags=each.flags,
                       sequence=each.sequence, acknowledgement=each.acknowledgement, payload=each.payload)
                for each in talk
            ]  # fmt: skip
    return sorted(result, key=lambda packet: packet.time)


def _talk(client: Any, server: Any, time: int, kind: str, steps: list[int], number: int) -> list[Packet]:
    isn, answer = 1000 + number, 900_000 + number
    result = [Packet(time=time, source=client, destination=server, flags=SYN, sequence=isn)]
    if kind == "unanswered":
        return result
    if kind == "refused":
        return [*result, Packet(time=time + 900, source=server, destination=client, flags=RST | ACK)]
    result += [
        Packet(
            time=time + 900,
            source=server,
            destination=client,
            flags=SYN | ACK,
            sequence=answer,
            acknowledgement=isn + 1,
        ),
        Packet(
            time=time + 1900, source=client, destination=server, flags=ACK, sequence=isn + 1, acknowledgement=answer + 1
        ),
    ]
    time += 1900
    for at, step in enumerate(steps):
        time += step * SECOND
        ends = (client, server) if at % 2 else (server, client)
        result.append(
            Packet(time=time, source=ends[0], destination=ends[1], flags=ACK, payload=10 + at, length=100 + at)
        )
    if len(steps) % 3:
        for ends in ((client, server), (server, client)):
            time += 1000
            result.append(Packet(time=time, source=ends[0], destination=ends[1], flags=FIN | ACK))
    return result


def _datagrams(client: Any, server: Any, time: int, steps: list[int]) -> list[Packet]:
    result = []
    for at, step in enumerate([0, *steps]):
        # After a silence it would be another conversation, whose client only the other hours may tell.
        time += min(step, 100) * SECOND
        ends = (server, client) if at % 2 else (client, server)
        result.append(Packet(time=time, source=ends[0], destination=ends[1], protocol=UDP, payload=9))
        if at == 0:
            result.append(Packet(time=time + 500, source=server, destination=client, protocol=UDP, payload=9))
    return result


@settings(max_examples=150, deadline=None)
@given(talks())
def test_hours_added_up_are_the_whole(packets: list[Packet]) -> None:
    assert added(packets) == rows(assemble([pieces(packets)]))


@settings(max_examples=100, deadline=None)
@given(packets_of())
def test_no_packet_is_lost_or_counted_twice(packets: list[Packet]) -> None:
    """Whatever is on the wire; who was the client may be decided otherwise when the other hours are not known."""
    whole, parts = rows(assemble([pieces(packets)])), added(packets)
    for place in (1, 2):
        assert sum(each[place] for each in parts.values()) == sum(each[place] for each in whole.values())


@settings(max_examples=60, deadline=None)
@given(talks())
def test_a_connection_counts_in_one_hour(packets: list[Packet]) -> None:
    hours, left = hour_by_hour(packets)
    counted = sum(int(each["connections"].sum()) for hour in hours for each in hour)
    counted += sum(each[0] for each in rows(assemble([left.compress(left["told"] == 0)])).values())
    assert counted == sum(each[0] for each in rows(assemble([pieces(packets)])).values())


def test_a_connection_of_three_hours_has_a_row_in_each() -> None:
    packets = _talk((1, 30000), (2, 80), BEGIN + 30 * MINUTE, "long", [3700, 3700, 20], 0)
    hours, _ = hour_by_hour(packets)
    found = [[(row["connections"], row["packets"], row["outcome"], row["direction"], row["port"]) for row in each]
             for hour in hours for each in hour]  # fmt: skip
    syn = int(Direction.SYN)
    assert found == [[(1, 3, 0, syn, 80)], [(0, 1, 0, syn, 80)], [(0, 2, 0, syn, 80)]]
    assert [int(each["first"][0] >= BEGIN + at * HOUR) for at, hour in enumerate(hours) for each in hour] == [1, 1, 1]


def test_a_handshake_across_the_end_of_an_hour_counts_when_it_is_complete() -> None:
    packets = _talk((1, 30000), (2, 80), BEGIN + HOUR - 1000, "long", [1], 0)
    hours, _ = hour_by_hour(packets)
    found = [[(row["connections"], row["packets"], row["outcome"]) for each in hour for row in each] for hour in hours]
    assert found == [[], [(1, 6, int(Outcome.ESTABLISHED))]]


def test_the_minutes_of_an_hour_are_those_with_packets() -> None:
    first = pieces(_talk((1, 30000), (2, 80), BEGIN + 5 * MINUTE, "long", [], 0))
    second = pieces([Packet(time=BEGIN + 40 * MINUTE, source=(1, 30000), destination=(2, 80), flags=ACK, payload=1)])
    first["minutes"], second["minutes"] = np.uint64(1 << 5), np.uint64(1 << 40)
    table, left = roll([first, second], BEGIN, BEGIN + HOUR)
    (found,) = table.batches()
    assert found["minutes"].tolist() == [1 << 5 | 1 << 40]
    assert left["minutes"].tolist() == [0]


def test_connections_that_were_counted_and_are_joined_later_hold_no_packet_of_before() -> None:
    """An attempt that was quoted, and what came on its ports two minutes later: apart in their hour, one behind it."""
    ends: dict[str, Any] = {"source": (1, 30000), "destination": (2, 80)}
    attempt = Packet(time=BEGIN, flags=SYN, sequence=7, **ends)
    late = Packet(time=BEGIN + 121 * SECOND, flags=ACK, sequence=7, **ends)
    told = [pieces([each]) for each in (attempt, late)]
    for each in told:
        each["told"], each["packets"], each["bytes"] = int(Outcome.MIDSTREAM) + 1, 1, 0
    told[0]["events"] |= told[1]["events"]
    for parts in ([stacked(told)], told):
        found = rows(assemble(parts))
        assert sum(each[1] for each in found.values()) == 0
