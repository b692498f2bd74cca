"""One connection captured before and after address translation, on two nodes, and what must not be taken for that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from netpol.flows.assemble import assemble
from netpol.flows.pieces import pieces_of
from netpol.flows.records import DATA, FROM_HIGH, SEEN
from netpol.model.flow import NO_TENANCY, Direction
from tests.flows.columns import batch, quotes, rows
from tests.flows.reference import ACK, FIN, RST, SECOND, SYN, TCP, UDP, End, Packet

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLIENT, _SERVICE, _POD, _NODE = (1, 40000), (9, 80), (2, 8080), (5, 51000)
_START = 1_700_000_000 * SECOND


class _Cluster:
    """Knows that 9 is a Service's address, and which (address, port) are declared; a tenancy is the address."""

    def __init__(self, *declared: End) -> None:
        self._declared = set(declared)

    def declared(
        self,
        family: NDArray[np.uint8],  # noqa: ARG002 - Knowledge says so
        address: NDArray[np.uint64],
        protocol: NDArray[np.uint8],  # noqa: ARG002
        port: NDArray[np.uint16],
    ) -> NDArray[np.bool_]:
        ends = zip(address[:, 1].tolist(), port.tolist(), strict=True)
        return np.array([end in self._declared for end in ends], np.bool_)

    def virtual(self, family: NDArray[np.uint8], address: NDArray[np.uint64]) -> NDArray[np.bool_]:  # noqa: ARG002
        return np.equal(address[:, 1], 9)

    def pods(self, family: NDArray[np.uint8], address: NDArray[np.uint64]) -> NDArray[np.bool_]:  # noqa: ARG002
        return np.isin(address[:, 1], [1, 2, 3, 4])

    def tenancies(
        self,
        family: NDArray[np.uint8],  # noqa: ARG002
        address: NDArray[np.uint64],
        first: NDArray[np.int64],
        last: NDArray[np.int64],  # noqa: ARG002
    ) -> NDArray[np.int32]:
        return (address[:, 1] * 10 + ((first // SECOND) % 2).astype(np.uint64)).astype(np.int32)


def _handshake(client: End, server: End, *, start: int, gap: int, isn: int = 7, answer: int = 70) -> list[Packet]:
    syn = Packet(time=start, source=client, destination=server, flags=SYN, sequence=isn)
    synack = Packet(
        time=start + gap, source=server, destination=client, flags=SYN | ACK, sequence=answer, acknowledgement=isn + 1
    )
    ack = replace(syn, time=start + gap + 1000, flags=ACK, sequence=isn + 1, acknowledgement=answer + 1)
    return [syn, synack, ack]


def test_before_and_after_dnat_is_one_connection() -> None:
    near = _handshake(_CLIENT, _SERVICE, start=_START, gap=900)
    far = _handshake(_CLIENT, _POD, start=_START + 100, gap=700)
    ((key, values),) = rows(assemble([batch(near + far)])).items()
    assert key == (1, 2, TCP, 8080, "established")
    assert values[:2] == (1, 6)


def test_nearness_does_not_trust_clocks() -> None:
    """The server's node is five seconds behind, and the connection is rewritten at both ends."""
    near = _handshake(_CLIENT, _SERVICE, start=_START + 5 * SECOND, gap=900)
    far = _handshake(_NODE, _POD, start=_START, gap=300)
    ((key, values),) = rows(assemble([batch(far + near)])).items()
    assert key == (1, 2, TCP, 8080, "established")
    assert values[0] == 1


def test_a_virtual_address_gives_way() -> None:
    near = _handshake(_CLIENT, _POD, start=_START, gap=900)
    far = _handshake(_CLIENT, _SERVICE, start=_START, gap=300)
    ((key, _),) = rows(assemble([batch(near + far)], knowledge=_Cluster())).items()
    assert key[:4] == (1, 2, TCP, 8080)


def test_a_client_from_outside_whom_a_node_rewrote_is_what_the_server_saw() -> None:
    """A nodePort: policies meet the node's address. A pod that a node rewrote on its way out stays the client."""

    class Nodes(_Cluster):
        def tenancies(
            self,
            family: NDArray[np.uint8],
            address: NDArray[np.uint64],
            first: NDArray[np.int64],
            last: NDArray[np.int64],
        ) -> NDArray[np.int32]:
            known = super().tenancies(family, address, first, last)
            return np.where(address[:, 1] == _CLIENT[0], np.int32(NO_TENANCY), known)

    outside = _handshake(_CLIENT, (5, 30080), start=_START, gap=900)
    inside = _handshake((5, 51000), _POD, start=_START + 100, gap=700)
    packets = sorted(outside + inside, key=lambda packet: packet.time)
    assert list(rows(assemble([batch(packets)], knowledge=Nodes()))) == [(5, 2, TCP, 8080, "established")]
    assert list(rows(assemble([batch(packets)], knowledge=_Cluster()))) == [(1, 2, TCP, 8080, "established")]
    assert list(rows(assemble([batch(packets)]))) == [(1, 2, TCP, 8080, "established")]


def test_two_nodes_see_the_same_packets() -> None:
    one = _handshake(_CLIENT, _POD, start=_START, gap=900)
    again = _handshake(_CLIENT, _POD, start=_START + SECOND, gap=500)
    ((key, values),) = rows(assemble([batch(one), batch(again)])).items()
    assert key == (1, 2, TCP, 8080, "established")
    assert values[:2] == (1, 6)


def test_made_up_packets_with_the_same_numbers_are_not_one_connection() -> None:
    """Programs that write packets often begin every connection at the same numbers."""
    clients = [(client, 40000) for client in (1, 3, 4)]
    packets = [
        packet
        for index, client in enumerate(clients)
        for packet in _handshake(client, _POD, start=_START + index * SECOND, gap=900)
    ]
    expected = {(client, 2, TCP, 8080, "established"): 1 for client, _ in clients}
    found = rows(assemble([batch(packets)]))
    assert {key: values[0] for key, values in found.items()} == expected
    # With two clients alone, only the cluster can tell that neither is the other rewritten.
    found = rows(assemble([batch(packets[:6])], knowledge=_Cluster()))
    assert list(found) == list(expected)[:2]


def test_two_pods_that_serve_one_client_at_the_same_numbers_are_two() -> None:
    client = (1, 40000)
    near, far = (_handshake(client, (server, 80), start=_START + server * SECOND, gap=900) for server in (2, 3))
    expected = [(1, server, TCP, 80, "established") for server in (2, 3)]
    assert sorted(rows(assemble([batch(near + far)], knowledge=_Cluster()))) == expected


def test_the_same_two_hosts_connect_again_at_the_same_numbers() -> None:
    first, second = (_handshake((1, port), _POD, start=_START + port * SECOND, gap=900) for port in (20, 21))
    ((key, values),) = rows(assemble([batch(first + second)])).items()
    assert (key, values[0]) == ((1, 2, TCP, 8080, "established"), 2)


def test_views_of_made_up_connections_stay_together() -> None:
    packets: list[Packet] = []
    for index, client in enumerate([(1, 40000), (3, 40001), (4, 40002)]):
        start = _START + index * SECOND
        packets += _handshake(client, _SERVICE, start=start, gap=900)
        packets += _handshake(client, _POD, start=start + 100, gap=700)
    packets.sort(key=lambda packet: packet.time)
    found = rows(assemble([batch(packets)]))
    assert {key: values[:2] for key, values in found.items()} == {
        (client, 2, TCP, 8080, "established"): (1, 6) for client in (1, 3, 4)
    }


def test_a_refused_attempt_through_a_service_is_one() -> None:
    def attempt(server: End, start: int) -> list[Packet]:
        syn, reset, _ = _handshake(_CLIENT, server, start=start, gap=500)
        return [syn, replace(reset, flags=RST | ACK)]

    ((key, values),) = rows(assemble([batch(attempt(_SERVICE, _START) + attempt(_POD, _START + 50))])).items()
    assert key == (1, 2, TCP, 8080, "refused")
    assert values[:2] == (1, 4)


def test_a_scan_with_one_sequence_number_is_not_one_connection() -> None:
    probes = [_handshake(_CLIENT, (2, port), start=_START + port, gap=1)[0] for port in range(1, 50)]
    sweep = [_handshake(_CLIENT, (100 + host, 80), start=_START + host, gap=1)[0] for host in range(50)]
    assert len(assemble([batch(probes)])) == 49
    assert len(assemble([batch(sweep)])) == 50


def test_udp_through_a_service_is_one_when_the_cluster_says_so() -> None:
    def lookup(server: End, start: int) -> list[Packet]:
        ask = Packet(time=start, source=_CLIENT, destination=server, protocol=UDP, payload=30)
        return [ask, replace(ask, time=start + 1000, source=server, destination=_CLIENT)]

    packets = [batch(lookup(_SERVICE, _START) + lookup((2, 53), _START + 10))]
    assert len(assemble(packets)) == 2
    ((key, values),) = rows(assemble(packets, knowledge=_Cluster())).items()
    assert key == (1, 2, UDP, 53, "established")
    assert values[:2] == (1, 4)


@pytest.mark.parametrize("skew", [-SECOND // 2, -2_000_000, 2_000_000, SECOND // 2])
def test_a_service_and_its_pod_are_one_though_the_nodes_clocks_differ(skew: int) -> None:
    ask = Packet(time=_START, source=_CLIENT, destination=_SERVICE, protocol=UDP, payload=30)
    attempt = Packet(time=_START, source=_CLIENT, destination=_SERVICE, flags=SYN, sequence=7)
    data = Packet(time=_START, source=_CLIENT, destination=_SERVICE, flags=ACK, payload=5)

    def views(first: Packet, answer: int) -> list[Packet]:
        here = [first, replace(first, time=_START + 1000, source=_SERVICE, destination=_CLIENT, flags=answer)]
        there = [replace(first, time=_START + skew, destination=_POD)]
        there += [replace(first, time=_START + skew + 500, source=_POD, destination=_CLIENT, flags=answer)]
        return sorted(here + there, key=lambda packet: packet.time)

    for first, answer, outcome in (
        (ask, 0, "established"),
        (attempt, RST | ACK, "refused"),
        (data, ACK, "midstream"),
    ):
        ((key, values),) = rows(assemble([batch(views(first, answer))], knowledge=_Cluster(_POD, _SERVICE))).items()
        assert key == (1, 2, first.protocol, 8080, outcome)
        assert values[:2] == (1, 4)


def test_attempts_with_numbers_of_their_own_are_not_views_of_one() -> None:
    attempts = [
        Packet(time=_START + number, source=_CLIENT, destination=end, flags=SYN, sequence=number)
        for number, end in enumerate((_SERVICE, _POD))
    ]
    assert len(assemble([batch(attempts)], knowledge=_Cluster(_POD, _SERVICE))) == 2


def test_midstream_is_directed_by_a_declared_port() -> None:
    data = Packet(time=_START, source=(2, 40001), destination=(1, 40000), flags=ACK, payload=5)
    unknown = rows(assemble([batch([data])]))
    assert list(unknown) == [(1, 2, TCP, None, "midstream")]
    ((key, values),) = rows(assemble([batch([data])], knowledge=_Cluster((2, 40001)))).items()
    assert key == (1, 2, TCP, 40001, "midstream")
    assert Direction(values[-1]) is Direction.DECLARED
    both = _Cluster((2, 40001), (1, 40000))
    assert list(rows(assemble([batch([data])], knowledge=both))) == [(1, 2, TCP, None, "midstream")]


def test_a_later_handshake_confirms_a_server() -> None:
    pool = Packet(time=_START, source=(3, 41000), destination=(2, 40001), flags=ACK, payload=5)
    later = _handshake((1, 40000), (2, 40001), start=_START + SECOND, gap=500)
    found = rows(assemble([batch([pool, *later])]))
    assert Direction(found[3, 2, TCP, 40001, "midstream"][-1]) is Direction.CONFIRMED


def test_only_the_senders_port_declared_turns_an_answered_datagram_round() -> None:
    ask = Packet(time=_START, source=(2, 5000), destination=(1, 6000), protocol=UDP, payload=3)
    packets = [batch([ask, replace(ask, time=_START + 1, source=(1, 6000), destination=(2, 5000))])]
    assert list(rows(assemble(packets))) == [(2, 1, UDP, 6000, "established")]
    assert list(rows(assemble(packets, knowledge=_Cluster((2, 5000))))) == [(1, 2, UDP, 5000, "established")]


def test_an_unreachable_refuses_and_a_stray_one_is_counted() -> None:
    ask = Packet(time=_START, source=(1, 6000), destination=(2, 5000), protocol=UDP, payload=3)
    stray = replace(ask, source=(7, 7), time=_START + 10)
    table = assemble([batch([ask]), quotes([replace(ask, time=_START + 5), stray])])
    assert list(rows(table)) == [(1, 2, UDP, 5000, "refused")]
    assert list(table.notes.values()) == [1]


def test_a_reopened_port_is_another_connection() -> None:
    first = _handshake(_CLIENT, _POD, start=_START, gap=500)
    end = [replace(first[2], time=_START + 2000, flags=FIN | ACK)]
    second = _handshake(_CLIENT, _POD, start=_START + 3000, gap=500, isn=900, answer=901)
    ((_, values),) = rows(assemble([batch(first + end + second)])).items()
    assert values[:2] == (2, 7)


def test_a_syn_ack_captured_before_its_syn_belongs_to_it() -> None:
    syn, synack, ack = _handshake(_CLIENT, _POD, start=_START, gap=500)
    mixed = [replace(synack, time=_START), replace(syn, time=_START + 500), ack]
    ((key, values),) = rows(assemble([batch(mixed[:1]), batch(mixed[1:])])).items()
    assert key == (1, 2, TCP, 8080, "established")
    assert values[:2] == (1, 3)


def test_half_open_scan_is_refused_and_lone_syn_acks_prove_nothing() -> None:
    syn, synack, ack = _handshake(_CLIENT, _POD, start=_START, gap=500)
    assert list(rows(assemble([batch([syn, synack, replace(ack, flags=RST)])]))) == [(1, 2, TCP, 8080, "refused")]
    assert list(rows(assemble([batch([syn, synack])]))) == [(1, 2, TCP, 8080, "unanswered")]
    (values,) = rows(assemble([batch([synack])])).values()
    assert values[-1] != 1
    (values,) = rows(assemble([batch([synack, ack])])).values()
    assert values[-1] == 1


def test_a_syn_ack_that_the_servers_data_follows_shows_the_server() -> None:
    """A capture of one direction: the server speaks only once the client's acknowledgement arrived."""
    _, synack, _ = _handshake(_CLIENT, _POD, start=_START, gap=500)
    banner = replace(synack, time=_START + 2000, flags=ACK, sequence=71, payload=9)
    ((key, values),) = rows(assemble([batch([synack, banner])])).items()
    assert key == (1, 2, TCP, 8080, "midstream")
    assert values[-1] == 1
    assert not values[-2]


def test_rows_do_not_mix_two_owners_of_an_address() -> None:
    even = _handshake(_CLIENT, _POD, start=_START, gap=500)
    odd = _handshake(_CLIENT, _POD, start=_START + 301 * SECOND, gap=500, isn=8, answer=9)
    flows = list(assemble([batch(even + odd)], knowledge=_Cluster()))
    assert [(f.client_tenancy, f.server_tenancy, f.connections) for f in flows] == [(10, 20, 1), (11, 21, 1)]


def _tracked(time: int, *, client_is_high: bool, events: int) -> Any:
    """What a table of connections tells of one between 10.0.0.1:40000 and 10.0.0.2:80."""
    piece = pieces_of(batch([Packet(time=time, source=(1, 40000), destination=(2, 80), flags=ACK, payload=1)]))
    piece["tracked"], piece["opened_high"], piece["events"] = True, client_is_high, events
    return piece


def test_whoever_kept_track_of_connections_says_who_opened_it() -> None:
    both = SEEN | DATA
    for high in (False, True):
        piece = _tracked(_START, client_is_high=high, events=both << FROM_HIGH | both)
        ((key, values),) = rows(assemble([piece], knowledge=_Cluster((1, 40000)))).items()
        assert key == ((2, 1, TCP, 40000, "midstream") if high else (1, 2, TCP, 80, "midstream"))
        assert Direction(values[-1]) is Direction.TRACKED
        assert values[-2]


def test_a_packet_without_a_word_on_it_does_not_turn_a_tracked_connection_round() -> None:
    stray = batch([Packet(time=_START, source=(2, 80), destination=(1, 40000), flags=ACK, payload=1)])
    piece = _tracked(_START + 5, client_is_high=False, events=SEEN | DATA)
    ((key, values),) = rows(assemble([stray, piece])).items()
    assert key == (1, 2, TCP, 80, "midstream")
    assert Direction(values[-1]) is Direction.TRACKED
