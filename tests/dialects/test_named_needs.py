from __future__ import annotations

from netpol.dialects.named_needs import NamedNeeds
from netpol.model.cidr import IPBlock
from netpol.model.flow import TCP
from netpol.model.outside import Grade
from netpol.model.policy import BlockPeer, PolicyPort, Rule
from tests.dialects.dialect_samples import app, blocks, https, need

PLACE = (TCP, 443)


def split(rule: Rule, *needs: object) -> tuple[list[str], list[str]]:
    found = NamedNeeds(needs).split(rule)  # type: ignore[arg-type]
    peers = [str(peer.block) if isinstance(peer, BlockPeer) else "pods" for peer in found.peers]
    return peers, list(map(str, found.names.get(PLACE, ())))


def test_a_merged_block_is_cut_to_the_addresses_that_no_name_explains() -> None:
    assert split(https("203.0.113.0/30"), need("a.example", "203.0.113.1")) == (
        ["203.0.113.0/32", "203.0.113.2/31"],
        ["a.example"],
    )


def test_an_address_without_a_name_for_one_of_the_workloads_stays() -> None:
    named, bare = need("a.example", "203.0.113.1", "203.0.113.2"), need("", "203.0.113.1", grade=Grade.NONE)
    assert split(https("203.0.113.1/32", "203.0.113.2/32"), named, bare) == (["203.0.113.1/32"], ["a.example"])


def test_all_names_of_an_address_are_needed() -> None:
    assert split(https("203.0.113.1/32"), need("b.example", "203.0.113.1"), need("a.example", "203.0.113.1")) == (
        [],
        ["a.example", "b.example"],
    )


def test_a_name_is_no_word_for_another_port() -> None:
    both = Rule(peers=blocks("203.0.113.1/32"), ports=(PolicyPort(port=443), PolicyPort(port=80)))
    assert split(both, need("a.example", "203.0.113.1")) == (["203.0.113.1/32"], [])
    every = Rule(peers=blocks("203.0.113.1/32"))
    assert split(every, need("a.example", "203.0.113.1")) == (["203.0.113.1/32"], [])


def test_pods_and_blocks_that_were_meant_as_blocks_stay_whole() -> None:
    wide = Rule(
        peers=(app("db"), *blocks("203.0.112.0/20"), BlockPeer(IPBlock.parse("203.0.113.0/24", ["203.0.113.9/32"]))),
        ports=(PolicyPort(port=443),),
    )
    peers, names = split(wide, need("a.example", "203.0.113.1"))
    assert peers == ["pods", "203.0.112.0/20", "203.0.113.0/24 except 203.0.113.9/32"]
    assert names == []
