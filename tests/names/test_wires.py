"""Names in wire form to numbers, many at once, against one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netpol.capture.name_bytes import WORDS
from netpol.capture.views import PAD
from netpol.model.host_name import host_name
from netpol.names import wires as module
from netpol.names.texts import NO_NAME, Texts
from netpol.names.wires import Wires, dotted, labels_of, numbers_of

if TYPE_CHECKING:
    import pytest


def wires(names: list[bytes], kinds: list[int] | None = None) -> Wires:
    sizes = np.array([len(each) for each in names], np.int64)
    data = np.frombuffer(b"".join(names) + bytes(PAD), np.uint8)
    kind = np.array(kinds or [1] * len(names), np.uint16)
    return Wires(data, np.cumsum(sizes) - sizes, sizes, kind)


def wire(*labels: bytes) -> bytes:
    return b"".join(bytes([len(each)]) + each for each in labels) + b"\0"


label = (
    st.text("abcXYZ019-", min_size=1, max_size=8).map(str.encode)
    | st.sampled_from(
        [b"xn--bcher-kva", b"xn--a", b"_dns", b"a.b", b"\\", b"\xff", b"a" * 63, b"-", b"1", b"0x1f", b"A" * 40]
    )
    | st.binary(min_size=1, max_size=4)
)
names = st.lists(label, max_size=4).map(lambda labels: wire(*labels)).filter(lambda name: len(name) <= 255)


@settings(max_examples=250, deadline=None)
@given(st.lists(names, min_size=1, max_size=30))
@example(
    [wire(), wire(b"a"), wire(b"a", b"1"), wire(b"a-"), wire(b"-a"), wire(b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 61)]
)
def test_a_name_has_a_number_if_and_only_if_it_is_a_host_name(some: list[bytes]) -> None:
    texts = Texts()
    numbers = numbers_of(texts, wires(some)).tolist()
    for name, number in zip(some, numbers, strict=True):
        expected = host_name(b".".join(labels_of(name)).decode("latin-1"))
        if any(b"." in each for each in labels_of(name)):
            expected = None
        assert (texts.name(number) if number != NO_NAME else None) == expected
    assert texts.rejected.count == numbers.count(NO_NAME)
    assert numbers == numbers_of(texts, wires(some)).tolist()


def test_colliding_hashes_do_not_make_names_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    some = [wire(b"a"), wire(b"b"), wire(b"a"), wire(b"a", b"b")] * 5
    monkeypatch.setattr(module, "_FACTORS", np.zeros(WORDS + 1, np.uint64))  # every name collides with every other
    texts = Texts()
    found = [texts.name(number) for number in numbers_of(texts, wires(some)).tolist()]
    assert found == ["a", "b", "a", "a.b"] * 5


def test_services_at_other_ports_are_names_of_their_host() -> None:
    texts = Texts()
    name = wire(b"_8443", b"_https", b"api", b"example")
    numbers = numbers_of(texts, wires([name, name, wire(b"api", b"example")], [65, 1, 1])).tolist()
    assert [texts.name(numbers[0]), numbers[1], numbers[2]] == ["api.example", NO_NAME, numbers[0]]


def test_samples_of_what_is_no_name_are_few_short_and_escaped() -> None:
    texts = Texts()
    some = [wire(b"\x1b[31m" + bytes([65 + each])) for each in range(20)] + [
        wire(b"\xe2\x80\xae", b"x" * 60, b"y" * 60)
    ]
    numbers_of(texts, wires(some + some))
    assert texts.rejected.count == 42
    assert len(texts.rejected.samples) == 5
    assert all(each.isascii() and each.isprintable() and len(each) <= 80 for each in texts.rejected.samples)


def test_a_dot_inside_a_label_is_told_from_one_between_two() -> None:
    assert dotted([b"a.b", b"c\\d"]) == b"a\\.b.c\\\\d"


def test_what_is_not_kept_gets_another_number() -> None:
    texts = Texts()
    one, two = (texts.number(each) for each in (b"one.example", b"two.example"))
    texts.keep([two])
    assert texts.name(two) == "two.example"
    assert texts.number(b"Two.example.") == two
    assert texts.number(b"one.example") not in {one, two}
    assert len(texts) == 2


def test_numbers_are_given_in_the_order_in_which_names_are_met() -> None:
    some = [wire(f"name-{each * 7 % 20}".encode()) for each in range(40)]
    texts = Texts()
    assert numbers_of(texts, wires(some)).tolist() == [*range(20), *range(20)]
