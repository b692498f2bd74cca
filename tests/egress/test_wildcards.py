from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.egress.wildcards import may_be_parent, widen
from netpol.model.flow import TCP
from netpol.model.host_name import HostName
from netpol.model.inventory import WorkloadRef
from netpol.model.outside import Grade, Need
from netpol.model.wildcard import Depth

API = WorkloadRef(namespace="shop", name="api", kind="Deployment")
WEB = WorkloadRef(namespace="shop", name="web", kind="Deployment")


def need(name: str | None, *, workload: WorkloadRef = API, port: int = 443, grade: Grade = Grade.STRONG) -> Need:
    return Need(
        workload=workload,
        name=HostName(name) if name else None,
        protocol=TCP,
        port=port,
        grade=grade if name else Grade.NONE,
        addresses=(ip_address("198.51.100.1"),),
        connections=1,
        bytes=1,
        first_seen=1,
        last_seen=2,
    )


def patterns(needs: list[Need], least: int, depth: Depth = Depth.ONE) -> list[str]:
    return [str(item.wildcard or "") for item in widen(needs, least=least, depth=depth)]


def test_enough_names_below_one_parent_make_a_pattern_and_too_few_none() -> None:
    needs = [need(f"{letter}.cdn.example.com") for letter in "abc"]
    assert patterns(needs, 3) == ["*.cdn.example.com"] * 3
    assert patterns(needs, 4) == [""] * 3


@pytest.mark.parametrize(
    "parent",
    ["com", "co.uk", "github.io", "s3.amazonaws.com", "blob.core.windows.net", "appspot.com", "nobodyknowsthis"],
)
def test_never_at_a_public_suffix_of_either_section(parent: str) -> None:
    needs = [need(f"{letter}.{parent}") for letter in "abcdef"]
    assert patterns(needs, 2) == [""] * 6
    deeper = [need(f"{letter}.mine.{parent}") for letter in "abcdef"]
    assert patterns(deeper, 2) == [f"*.mine.{parent}"] * 6


@pytest.mark.parametrize("parent", ["amazonaws.com", "core.windows.net", "windows.net"])
@pytest.mark.parametrize("depth", Depth)
def test_never_above_a_public_suffix(parent: str, depth: Depth) -> None:
    assert patterns([need(f"{letter}.{parent}") for letter in "abcdef"], 2, depth) == [""] * 6


@pytest.mark.parametrize(
    ("name", "one_owner"),
    [
        ("co.uk", False),
        ("example.co.uk", True),
        # A rule of the list with a star, and its exception.
        ("ck", False),
        ("anything.ck", False),
        ("mine.anything.ck", True),
        ("www.ck", True),
        # Suffixes with letters beyond ASCII, as they are in DNS.
        ("xn--55qx5d.cn", False),
        ("mine.xn--55qx5d.cn", True),
    ],
)
def test_one_owner_has_all_below_a_name_that_is_below_every_suffix(name: str, *, one_owner: bool) -> None:
    assert may_be_parent(HostName(name)) is one_owner


def test_each_workload_and_port_needs_names_of_its_own() -> None:
    needs = [
        need("a.cdn.example.com"),
        need("b.cdn.example.com", workload=WEB),
        need("c.cdn.example.com", port=8443),
        need("a.cdn.example.com", port=8443),
    ]
    assert patterns(needs, 2) == ["", "", "*.cdn.example.com", "*.cdn.example.com"]


def test_ambiguous_names_are_no_reason_but_covered() -> None:
    sure = [need(f"{letter}.cdn.example.com") for letter in "ab"]
    doubtful = [need(f"{letter}.cdn.example.com", grade=Grade.AMBIGUOUS) for letter in "cd"]
    assert patterns([*sure, *doubtful], 3) == [""] * 4
    assert patterns([*sure, *doubtful], 2) == ["*.cdn.example.com"] * 4


def test_any_depth_takes_the_longest_parent_that_has_enough() -> None:
    names = ["a.eu.cdn.example.com", "b.us.cdn.example.com", "c.cdn.example.com", "www.example.com", "example.com"]
    needs = [*map(need, names), need(None)]
    assert patterns(needs, 2) == [""] * 6
    assert patterns(needs, 3, Depth.ANY) == ["**.cdn.example.com"] * 3 + [""] * 3
    assert patterns(needs, 4, Depth.ANY) == ["**.example.com"] * 4 + [""] * 2


labels = st.sampled_from(["a", "b", "c", "co", "uk", "com", "github", "io", "example"])
names = st.lists(st.lists(labels, min_size=1, max_size=5).map(".".join), max_size=12)


@given(names, st.integers(2, 4), st.sampled_from(Depth))
def test_every_pattern_has_its_reasons_and_takes_nothing_away(found: list[str], least: int, depth: Depth) -> None:
    needs = [need(name) for name in found]
    widened = widen(needs, least=least, depth=depth)
    assert [item.name for item in widened] == [item.name for item in needs]
    for wildcard in {item.wildcard for item in widened if item.wildcard}:
        covered = {item.name for item in widened if item.wildcard == wildcard}
        assert len(covered) >= least
        assert all(name is not None and wildcard.covers(name) for name in covered)
        assert may_be_parent(wildcard.parent)
        assert wildcard.depth is depth
