"""A name that no list has, and that is another name for one that a list has."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.capture.name_dns import MOST_ALIASES, aliases_of
from netpol.names.wires import dotted, labels_of
from tests.threats.responses import response

LABEL = st.text("abcXYZ019", min_size=1, max_size=9)
NAME = st.lists(LABEL, min_size=1, max_size=5).map(lambda labels: f"{'.'.join(labels)}.example")


@given(st.lists(NAME, min_size=2, max_size=9, unique_by=str.lower), st.booleans(), st.binary(max_size=40))
@settings(deadline=None)
def test_aliases_of_what_scapy_writes(names: list[str], backwards: bool, behind: bytes) -> None:  # noqa: FBT001
    message = bytes(response(names[0], names[1:], backwards=backwards)) + behind
    found = [dotted(labels_of(name)).decode() for name in aliases_of(message)]
    assert found == [name.lower() for name in names[1:]]


@given(st.binary(max_size=300), st.integers(0, 400))
@settings(deadline=None)
def test_damaged_messages_have_few_aliases_or_none(noise: bytes, size: int) -> None:
    whole = bytes(response("a.example", [f"b{number}.example" for number in range(6)]))
    assert len(aliases_of(whole[:size])) <= 6
    assert len(aliases_of(whole[:size] + noise)) <= MOST_ALIASES * 20
    assert len(aliases_of(noise)) <= MOST_ALIASES * 20
