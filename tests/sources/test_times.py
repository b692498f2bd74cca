"""Times of logs: what 64 bits of nanoseconds cannot hold, or hardly, is refused and not reckoned with."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.sources.times import LATEST, of_epoch, of_nanoseconds, of_rfc3339, of_seconds


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2023-11-14T22:13:20.123456789Z", 1_700_000_000_123_456_789),
        ("2023-11-14T23:13:20.5+01:00", 1_700_000_000_500_000_000),
        ("2023-11-14 22:13:20.1234567891z", 1_700_000_000_123_456_789),
        ("2250-01-01T00:00:00Z", LATEST),
    ],
)
def test_rfc_3339(text: str, time: int) -> None:
    assert of_rfc3339(text) == time


@pytest.mark.parametrize(
    "text",
    [
        "1969-12-31T23:59:59Z",
        "2250-01-01T00:00:01Z",
        "2262-04-12T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "2023-02-30T00:00:00Z",
    ],
)
def test_times_that_cannot_be_reckoned_with(text: str) -> None:
    with pytest.raises(ValueError, match=r"time before 1970|day"):
        of_rfc3339(text)


@pytest.mark.parametrize("text", ["9999999999", "-1", "1e9", "", "1700000000.", "17000000000"])
def test_seconds_that_are_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        of_epoch(text)


@given(st.text() | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", fullmatch=True))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    for read in (of_rfc3339, of_epoch):
        try:
            assert 0 <= read(text) <= LATEST
        except ValueError:
            continue


@given(st.floats() | st.integers())
def test_any_number_is_a_time_or_refused(number: float) -> None:
    with suppress(ValueError):
        assert 0 <= of_seconds(number) <= LATEST
    if isinstance(number, int):
        with suppress(ValueError):
            assert 0 <= of_nanoseconds(number) <= LATEST
