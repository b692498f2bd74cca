"""The columnar assembly says what the packet-by-packet reference says, however the packets are cut and mixed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.flows.assemble import assemble
from netpol.flows.limits import Limits
from tests.flows.columns import items, rows
from tests.flows.reference import ACK, FIN, RST, SECOND, SYN, TCP, UDP, End, Packet
from tests.flows.reference import assemble as slow

_SMALL = Limits(pieces=1)
_ENDS = [(1, 40000), (1, 80), (2, 80), (2, 40001), (3, 40000), (3, 443), (4, 50000)]
_STEPS = [1_000, 1_000_000, 30_000_000, 60_000_000, SECOND, 50 * SECOND, 119 * SECOND, 121 * SECOND, 7500 * SECOND]


@st.composite
def packets_of(draw: st.DrawFn) -> list[Packet]:
    """Packets between few ends, so that 5-tuples are reused; few sequence numbers, so that they are retransmitted."""
    result = []
    time = 1_700_000_000 * SECOND
    few = draw(st.lists(st.sampled_from(_ENDS), min_size=2, max_size=4, unique=True))
    for _ in range(draw(st.integers(1, 25))):
        time += draw(st.sampled_from(_STEPS))
        source = draw(st.sampled_from(few))
        destination = draw(st.sampled_from([end for end in few if end != source]))
        protocol = draw(st.sampled_from([TCP, TCP, TCP, TCP, UDP]))
        flags = draw(st.sampled_from([SYN, SYN | ACK, ACK, ACK, FIN | ACK, RST, RST | ACK, 0, SYN | FIN]))
        result.append(
            Packet(
                time=time,
                source=source,
                destination=destination,
                protocol=protocol,
                flags=flags if protocol == TCP else 0,
                sequence=(draw(st.sampled_from([7, 2**32 - 1])) + _mark(source, destination)) % 2**32,
                acknowledgement=(draw(st.sampled_from([8, 0])) + _mark(destination, source)) % 2**32,
                payload=draw(st.sampled_from([0, 10])),
                length=draw(st.integers(60, 1514)),
            )
        )
        if draw(st.integers(0, 9)) == 0:
            time += 1_000_000
            result.append(replace(result[-1], time=time, quote=True))
    return result


def _mark(sender: End, receiver: End) -> int:
    """Keeps numbers of different 5-tuples apart, so that two connections do not look like two views of one."""
    return 1_000_000 * (_ENDS.index(sender) * len(_ENDS) + _ENDS.index(receiver))


@settings(max_examples=80, deadline=None)
@given(packets_of())
def test_same_as_packet_by_packet(packets: list[Packet]) -> None:
    assert rows(assemble(items(packets))) == slow(packets)


@settings(max_examples=25, deadline=None)
@given(packets_of())
def test_ipv6_like_ipv4(packets: list[Packet]) -> None:
    assert rows(assemble(items(packets, family=6))) == slow(packets)


@settings(max_examples=80, deadline=None)
@given(packets_of(), st.data())
def test_batches_can_be_cut_anywhere(packets: list[Packet], data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(packets)), max_size=8))
    whole = rows(assemble(items(packets)))
    assert rows(assemble(items(packets, cuts))) == whole
    assert rows(assemble(items(packets, cuts), limits=_SMALL)) == whole
    assert rows(assemble(items(packets, range(1, len(packets))), limits=_SMALL)) == whole


@settings(max_examples=25, deadline=None)
@given(packets_of(), st.randoms(use_true_random=False))
def test_order_inside_a_batch_does_not_matter(packets: list[Packet], random: object) -> None:
    mixed = [p for p in packets if not p.quote]
    whole = rows(assemble(items(mixed)))
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert rows(assemble(items(mixed))) == whole


@settings(max_examples=25, deadline=None)
@given(packets_of(), st.integers(1, 5))
def test_no_limit_loses_a_packet(packets: list[Packet], limit: int) -> None:
    limits = Limits(pieces=limit, connections=limit, undecided=limit, servers=limit, rows=limit)
    table = assemble(items(packets, range(1, len(packets))), limits=limits)
    assert sum(flow.packets for flow in table) == sum(not p.quote for p in packets)
    assert sum(flow.bytes for flow in table) == sum(p.length for p in packets if not p.quote)


@settings(max_examples=25, deadline=None)
@given(packets_of(), st.integers(1, 4))
def test_spilled_rows_are_the_same_rows(packets: list[Packet], limit: int) -> None:
    cut = items(packets, range(1, len(packets)))
    inside = assemble(cut, limits=_SMALL)
    spilled = assemble(cut, limits=Limits(pieces=1, rows=limit))
    assert list(spilled) == list(inside)
    assert len(spilled) == len(inside)


def test_a_quote_is_not_too_late_when_its_block_reaches_far_beyond_it() -> None:
    """An attempt, and in the next block its refusal together with packets of two minutes later."""
    begin = 1_700_000_000 * SECOND
    attempt = Packet(
        time=begin,
        source=(1, 40000),
        destination=(2, 80),
        protocol=TCP,
        flags=SYN,
        sequence=7,
        acknowledgement=0,
        payload=0,
        length=60,
    )
    refusal = replace(attempt, time=begin + 1_000, quote=True)
    later = [replace(attempt, time=begin + 121 * SECOND + i, source=(3, 40000 + i)) for i in range(3)]
    found = rows(assemble(items([attempt, refusal, *later], [1]), limits=_SMALL))
    assert found[1, 2, TCP, 80, "refused"][:2] == (1, 1)
