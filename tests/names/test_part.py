"""A table of names that was taken apart and put together again knows what it knew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from netpol.capture.packets import Tally
from netpol.capture.read import read_packets
from netpol.dataset.window import Window
from netpol.dataset.window_codec import read_window, write_window
from netpol.names.part import NamesPart
from netpol.names.table import Names

SHOP = Path("captures/shop")


def names_of(*captures: Path) -> Names:
    names = Names()
    for _ in read_packets(captures, Tally(), names=names):
        pass
    return names


def values(part: NamesPart) -> list[Any]:
    """All that it says, names in the place of their numbers."""

    def spans(rows: Any) -> list[Any]:
        columns = (rows[each].tolist() for each in ("client", "server", "first", "last", "door", "count", "name"))
        return sorted(
            [*map(str, rest), part.names[name] if name >= 0 else "-"] for *rest, name in zip(*columns, strict=True)
        )

    return [
        spans(part.leases),
        spans(part.greetings),
        [part.asked[each].tolist() for each in ("client", "counts")],
        part.hidden,
        dict(part.counts),
        part.rejected,
        part.samples,
        part.forgotten,
    ]


def through_a_window(part: NamesPart) -> NamesPart:
    window = Window(observer="n", run="0" * 32, number=0, begin=0, end=1, names=part)
    return read_window(write_window(window), "window").names


@pytest.mark.parametrize("capture", sorted(SHOP.iterdir()), ids=lambda path: path.name)
def test_parts_come_back_as_they_were(capture: Path) -> None:
    part = names_of(capture).part()
    assert len(part.leases)
    again = Names()
    again.take_part(through_a_window(part))
    assert values(again.part()) == values(part)


def test_parts_of_two_observers_are_what_both_saw() -> None:
    both = names_of(SHOP)
    put_together = Names()
    for capture in sorted(SHOP.iterdir()):
        put_together.take_part(names_of(capture).part())
    one, other = values(both.part()), values(put_together.part())
    assert (one[0], one[1], one[3]) == (other[0], other[1], other[3])


def test_a_part_whose_spans_refer_to_nothing_is_none() -> None:
    part = names_of(SHOP).part()
    with pytest.raises(ValueError, match="not there"):
        NamesPart(names=(), leases=part.leases)
