from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.model.host_name import HostName
from netpol.model.wildcard import Depth, Wildcard

labels = st.lists(st.sampled_from(["a", "b", "ab", "x-1"]), min_size=1, max_size=4)
depths = st.sampled_from(Depth)


@given(labels, labels, depths)
def test_it_covers_what_has_the_parent_behind_as_many_labels_as_it_may_stand_for(
    name: list[str], parent: list[str], depth: Depth
) -> None:
    wildcard = Wildcard(parent=HostName(".".join(parent)), depth=depth)
    more = len(name) - len(parent)
    below = more > 0 and name[more:] == parent
    assert wildcard.covers(HostName(".".join(name))) == (below and (more == 1 or depth is Depth.ANY))


@pytest.mark.parametrize("name", ["cdn.example", "notcdn.example", "cdn.example.evil.test", "a.b.cdn.example"])
def test_one_label_is_neither_none_nor_two_and_no_other_ending_will_do(name: str) -> None:
    assert not Wildcard(parent=HostName("cdn.example"), depth=Depth.ONE).covers(HostName(name))


def test_the_spelling_tells_the_depth() -> None:
    assert [str(Wildcard(parent=HostName("cdn.example"), depth=depth)) for depth in Depth] == [
        "*.cdn.example",
        "**.cdn.example",
    ]
