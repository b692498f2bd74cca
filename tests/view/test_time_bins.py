from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from netpol.view.time_bins import MOST_BINS, TimeBins, runs

SECOND = 10**9
TIMES = st.integers(0, 2**63 - 1)


@given(TIMES, TIMES)
def test_bins_are_few_and_cover_the_capture(one: int, other: int) -> None:
    first, last = sorted((one, other))
    bins = TimeBins.over(first, last)
    assert 1 <= bins.count <= MOST_BINS
    assert bins.start <= first
    assert last < bins.start + bins.count * bins.width
    assert bins.start % bins.width == 0


def test_an_hour_has_bins_of_half_a_minute_and_a_week_of_an_hour() -> None:
    for seconds, width in ((60, 1), (3600, 30), (24 * 3600, 600), (7 * 24 * 3600, 3600)):
        assert TimeBins.over(0, (seconds - 1) * SECOND).width == width * SECOND


@given(TIMES, TIMES, st.lists(TIMES, min_size=2, max_size=2))
def test_a_stretch_is_in_the_bins_that_it_meets(one: int, other: int, stretch: list[int]) -> None:
    first, last = sorted((one, other))
    bins = TimeBins.over(first, last)
    begin, end = sorted(stretch)
    mask = bins.mask(begin, end)
    for number in range(bins.count):
        low = bins.start + number * bins.width
        high = low + bins.width - 1
        # What is beyond the ends is at the end.
        meets = (begin <= high or number == bins.count - 1) and (end >= low or number == 0)
        assert bool(mask >> number & 1) == meets


@given(st.integers(0, 2**70))
def test_runs_are_the_bits(mask: int) -> None:
    found = list(runs(mask))
    assert sum(1 << bit for first, last in found for bit in range(first, last + 1)) == mask
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(found))
