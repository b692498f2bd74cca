"""Earlier policies without what must not be allowed any more: exactly that, and nothing else, is gone."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_network
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from netpol.model.cidr import AddressSet, IPBlock
from netpol.model.labels import LabelSelector
from netpol.model.policy import BlockPeer, NetworkPolicy, PodPeer, PolicyPort, Rule
from netpol.policy.withhold import withhold

if TYPE_CHECKING:
    from netpol.model.cidr import Network

POD = PodPeer(pod_selector=LabelSelector(match_labels={"app": "web"}))
PORT = (PolicyPort(port=80),)


def networks(shortest: int) -> st.SearchStrategy[Network]:
    return st.tuples(st.integers(0, 2**12 - 1), st.integers(shortest, 32)).map(
        lambda pair: ip_network((0x0A000000 + pair[0], 32)).supernet(new_prefix=pair[1])
    )


def blocks(rules: tuple[Rule, ...]) -> AddressSet:
    found = AddressSet.EMPTY
    for rule in rules:
        for peer in rule.peers:
            if isinstance(peer, BlockPeer):
                found |= peer.block.addresses
    return found


@given(st.lists(networks(20), max_size=4), st.lists(networks(24), max_size=4))
def test_exactly_what_is_unwanted_is_gone(allowed: list[Network], unwanted: list[Network]) -> None:
    rules = tuple(Rule(peers=(BlockPeer(IPBlock(one)),), ports=PORT) for one in allowed)
    policy = NetworkPolicy(namespace="shop", name="web", isolates_egress=True, ingress=rules, egress=rules)
    cut = AddressSet.collect(unwanted)
    (found,) = withhold([policy], lambda addresses, _: cut & addresses)
    for before, after in ((policy.ingress, found.ingress), (policy.egress, found.egress)):
        assert blocks(after) == blocks(before) - cut
        assert all(rule.peers for rule in after)
        assert all(rule.ports == PORT for rule in after)


def test_a_rule_for_nobody_else_goes_and_one_for_everyone_stays() -> None:
    address = BlockPeer(IPBlock(ip_network("198.51.100.7/32")))
    rules = (Rule(peers=(address,), ports=PORT), Rule(peers=(POD, address)), Rule(ports=PORT), Rule(peers=(POD,)))
    policy = NetworkPolicy(namespace="shop", name="web", egress=rules)
    (found,) = withhold([policy], lambda _block, _way: AddressSet.of(IPv4Address("198.51.100.7")))
    assert found.egress == (Rule(peers=(POD,)), Rule(ports=PORT), Rule(peers=(POD,)))


def test_exceptions_stay_exceptions() -> None:
    block = IPBlock(ip_network("10.0.0.0/8"), (ip_network("10.1.0.0/16"),))
    policy = NetworkPolicy(namespace="shop", name="web", egress=(Rule(peers=(BlockPeer(block),)),))
    (found,) = withhold([policy], lambda _block, _way: AddressSet.of("10.2.0.1", "192.0.2.1"))
    assert blocks(found.egress) == AddressSet.of("10.0.0.0/8") - AddressSet.of("10.1.0.0/16", "10.2.0.1")


def test_what_may_not_be_reached_may_still_come_in() -> None:
    address = Rule(peers=(BlockPeer(IPBlock(ip_network("168.63.129.16/32"))),))
    policy = NetworkPolicy(namespace="shop", name="web", isolates_egress=True, ingress=(address,), egress=(address,))
    (found,) = withhold([policy], lambda block, way: block if way == "egress" else AddressSet.EMPTY)
    assert (found.ingress, found.egress) == ((address,), ())
