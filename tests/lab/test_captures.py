"""The captures hold what the drivers did: tshark's view against the word of the programs that sent the packets."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.lab.conftest import Packet, Shop

FIN, SYN, RST, ACK = 1, 2, 4, 16
POD, OUTSIDE, NODE, VIRTUAL = range(4)
"""Ranks of an end: the lower, the nearer to the program behind it. Rewriting moves an end to a higher rank."""


def _workload(pod: dict[str, Any], shop: Shop) -> str:
    """The topmost owner, by following the owner references."""
    item, owners = pod, pod["metadata"].get("ownerReferences")
    while owners:
        reference = owners[0]
        item = next(other for other in shop.items if other["metadata"]["uid"] == reference["uid"])
        assert (item["kind"], item["metadata"]["name"]) == (reference["kind"], reference["name"])
        owners = item["metadata"].get("ownerReferences")
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}[{item['kind']}]"


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


class Ends:
    """Who was behind an address at a time, straight from the snapshot."""

    def __init__(self, shop: Shop) -> None:
        self._pods: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
        for pod in shop.of_kind("Pod"):
            if pod["spec"].get("hostNetwork"):
                continue
            state = pod["status"]["containerStatuses"][0]["state"]
            # Whole seconds, the rest cut off: the program may have run for up to one more.
            end = _seconds(state["terminated"]["finishedAt"]) + 1 if "terminated" in state else float("inf")
            for entry in pod["status"]["podIPs"]:
                tenancy = (_seconds(pod["status"]["startTime"]), end, _workload(pod, shop))
                self._pods[entry["ip"]].append(tenancy)
        self._nodes = {}
        for node in shop.of_kind("Node"):
            name = f"node/{node['metadata']['name']}"
            self._nodes[node["status"]["addresses"][0]["address"]] = name
            self._nodes[node["spec"]["podCIDR"].replace(".0/24", ".1")] = name
        self._virtual = {}
        for service in shop.of_kind("Service"):
            name = f"service/{service['metadata']['namespace']}/{service['metadata']['name']}"
            balancers = service["status"]["loadBalancer"].get("ingress", [])
            for address in (service["spec"]["clusterIP"], *(entry["ip"] for entry in balancers)):
                self._virtual[address] = name

    def of(self, address: str, time: float) -> tuple[int, str]:
        """The rank and the name of an end."""
        for start, end, name in self._pods.get(address, ()):
            if start <= time <= end:
                return POD, name
        assert not address.startswith(("10.244.", "fd00:")) or address in self._nodes, f"nobody had {address} at {time}"
        if address in self._nodes:
            return NODE, self._nodes[address]
        if address in self._virtual:
            return VIRTUAL, self._virtual[address]
        return OUTSIDE, address


class Attempt:
    """All views of one TCP connection attempt, found by the client's initial sequence number."""

    def __init__(self, syns: list[Packet]) -> None:
        self.syns = syns
        self.views = {syn.ends for syn in syns}
        self.isn = syns[0].sequence

    def outcome(self, by_ends: dict[tuple[str, int, str, int], list[Packet]], unreachable: set[int]) -> str:
        """What became of it, told from the packets alone."""
        following = (self.isn + 1) % 2**32
        back = [p for a, b, c, d in self.views for p in by_ends[c, d, a, b] if p.acknowledgement == following]
        forth = [p for view in self.views for p in by_ends[view] if p.sequence == following]
        if any(p.flags & (SYN | ACK) == SYN | ACK for p in back):
            answered = any(p.flags & (SYN | RST | ACK) == ACK for p in forth)
            return "established" if answered else "half-open"
        if self.isn in unreachable or any(p.flags & RST for p in back):
            return "refused"
        return "unanswered"


def _attempts(shop: Shop) -> list[Attempt]:
    """Told apart by initial sequence number, and by target where a scanner uses one number for all of its probes."""
    groups = defaultdict(list)
    for packet in shop.packets:
        if packet.protocol == "TCP" and packet.flags & (SYN | ACK) == SYN and not packet.quoted:
            groups[packet.sequence].append(packet)
    attempts = []
    for syns in groups.values():
        targets = {syn.ends[2:] for syn in syns}
        if len(targets) <= 2:  # a Service's address and a pod's
            attempts.append(Attempt(syns))
        else:
            attempts += [Attempt([syn for syn in syns if syn.ends[2:] == target]) for target in sorted(targets)]
    return attempts


def _who(views: set[tuple[str, int, str, int]], time: float, ends: Ends) -> tuple[str, str, int]:
    """Source, destination and the destination's port: the nearest ends among all views of one conversation."""
    source = min(ends.of(view[0], time) for view in views)[1]
    (_, destination), port = min((ends.of(view[2], time), view[3]) for view in views)
    return source, destination, port


def _by_ends(shop: Shop) -> dict[tuple[str, int, str, int], list[Packet]]:
    table: dict[tuple[str, int, str, int], list[Packet]] = defaultdict(list)
    for packet in shop.packets:
        if packet.protocol == "TCP" and not packet.quoted:
            table[packet.ends].append(packet)
    return table


def test_every_tcp_attempt_is_there_with_its_outcome(shop: Shop) -> None:
    ends, by_ends = Ends(shop), _by_ends(shop)
    unreachable = {p.sequence for p in shop.packets if p.quoted and p.protocol == "TCP"}
    seen = Counter(
        (*_who(attempt.views, attempt.syns[0].time, ends), attempt.outcome(by_ends, unreachable))
        for attempt in _attempts(shop)
    )
    told: Counter[tuple[str, str, int, str]] = Counter()
    for row in shop.truth:
        if row["protocol"] == "TCP" and row["outcome"] != "midstream":
            told[row["source"], row["destination"], row["port"], row["outcome"]] += row["connections"]
    assert seen == told


def test_every_udp_conversation_is_there(shop: Shop) -> None:
    ends = Ends(shop)
    views = defaultdict(set)
    times = {}
    for packet in shop.packets:
        asks = packet.destination_port in {53, 514, 8125} and packet.protocol == "UDP" and not packet.quoted
        if asks and ends.of(packet.source, packet.time)[0] == POD:
            views[packet.source, packet.source_port, packet.destination_port].add(packet.ends)
            times[packet.source, packet.source_port, packet.destination_port] = packet.time
    seen = Counter(_who(found, times[key], ends) for key, found in views.items())
    told: Counter[tuple[str, str, int]] = Counter()
    for row in shop.truth:
        if row["protocol"] == "UDP":
            told[row["source"], row["destination"], row["port"]] += row["connections"]
    assert seen == told


def test_connections_older_than_the_capture_show_no_handshake_and_data_both_ways(shop: Shop) -> None:
    ends, by_ends = Ends(shop), _by_ends(shop)
    begun = {(view[0], view[1]) for attempt in _attempts(shop) for view in attempt.views}
    for row in (row for row in shop.truth if row["outcome"] == "midstream"):
        clients = {
            view[:2]
            for view, packets in by_ends.items()
            if view[3] == row["port"]
            and ends.of(view[2], packets[0].time)[1] == row["destination"]
            and ends.of(view[0], packets[0].time)[1] == row["source"]
            and view[:2] not in begun
            and any(packet.payload for packet in packets)
            and any(packet.payload for packet in by_ends[view[2], view[3], view[0], view[1]])
        }
        assert len(clients) == row["connections"], row


@pytest.mark.parametrize(
    ("destination", "port", "expected"),
    [
        ("data/postgres[StatefulSet]", 5432, {"established", "midstream"}),
        ("data/redis[StatefulSet]", 6379, {"midstream"}),
    ],
)
def test_one_pool_is_confirmed_by_other_handshakes_and_one_is_not(
    shop: Shop, destination: str, port: int, expected: set[str]
) -> None:
    rows = [row for row in shop.truth if (row["destination"], row["port"]) == (destination, port)]
    assert {row["outcome"] for row in rows if row["purpose"] == "shop"} == expected


def test_a_service_address_and_the_pod_behind_it_share_the_sequence_number(shop: Shop) -> None:
    ends = Ends(shop)
    pairs: Counter[str] = Counter()
    for attempt in _attempts(shop):
        ranks = {ends.of(view[2], attempt.syns[0].time) for view in attempt.views}
        if {rank for rank, _ in ranks} == {POD, VIRTUAL}:
            pairs.update(name for rank, name in ranks if rank == VIRTUAL)
    assert set(pairs) == {"service/shop/web", "service/shop/api"}
    assert min(pairs.values()) > 10


def test_masquerading_shows_a_pod_and_its_node_with_one_sequence_number(shop: Shop) -> None:
    ends = Ends(shop)
    masked = {
        view[2]
        for attempt in _attempts(shop)
        for view in attempt.views
        if {ends.of(other[0], attempt.syns[0].time)[0] for other in attempt.views} == {POD, NODE}
    }
    assert masked >= {"198.51.100.20", "198.51.100.99", "192.0.2.11"}


def test_the_same_handshake_is_seen_on_both_nodes_inside_and_outside_the_tunnel(shop: Shop) -> None:
    both = [attempt for attempt in _attempts(shop) if len({(syn.file, syn.tunnelled) for syn in attempt.syns}) == 4]
    assert len(both) > 20
    assert any(":" in attempt.syns[0].source for attempt in both), "none of them over IPv6"


def test_shoppers_keep_their_addresses(shop: Shop) -> None:
    arrivals = {view[0] for attempt in _attempts(shop) for view in attempt.views if view[2:] == ("10.244.1.11", 8080)}
    assert arrivals == {"203.0.113.7", "203.0.113.40", "10.244.1.1"}


def test_metrics_of_the_web_front_end_go_over_ipv6_alone(shop: Shop) -> None:
    targets = {view[2] for attempt in _attempts(shop) for view in attempt.views if view[3] == 9113}
    assert targets == {"fd00:10:244:1::b"}


def test_an_unanswered_attempt_was_repeated(shop: Shop) -> None:
    silent = [attempt for attempt in _attempts(shop) if any(view[2] == "198.51.100.99" for view in attempt.views)]
    assert silent
    assert all(
        len({syn.time for syn in attempt.syns if syn.source == attempt.syns[0].source}) > 1 for attempt in silent
    )


def test_an_address_changed_hands_during_the_capture(shop: Shop) -> None:
    pods = [pod for pod in shop.of_kind("Pod") if pod["status"]["podIP"] == "10.244.2.30"]
    report, sweep = sorted(pods, key=lambda pod: str(pod["status"]["startTime"]))
    assert (report["status"]["phase"], sweep["status"]["phase"]) == ("Succeeded", "Succeeded")
    given_back = report["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"]
    assert _seconds(sweep["status"]["startTime"]) - _seconds(given_back) >= 3
    times = [packet.time for packet in shop.packets if packet.source == "10.244.2.30"]
    assert min(times) >= _seconds(report["status"]["startTime"])
    assert not [time for time in times if _seconds(given_back) + 1 < time < _seconds(sweep["status"]["startTime"])]


def test_the_idle_workload_is_never_seen(shop: Shop) -> None:
    assert not [packet for packet in shop.packets if "10.244.2.13" in {packet.source, packet.destination}]


def test_the_files_stay_small(shop: Shop) -> None:
    files = [path for folder in (shop.captures, shop.samples) for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_000_000
