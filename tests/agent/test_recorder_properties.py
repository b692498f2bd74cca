"""Whatever TCP does, and wherever windows end: openings and closings alone tell what all packets tell."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.agent.recorder import Limits, Observer, Recorder
from netpol.capture.decode import decode
from netpol.capture.fragments import FragmentTable
from netpol.capture.packets import Tally
from netpol.flows.assemble import assemble
from netpol.flows.limits import SECOND
from tests.agent.frames import ACK, FIN, PSH, RST, SYN, Frame, records_of
from tests.agent.live_world import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.dataset.window import Window
    from tests.agent.live_world import Row

_OBSERVER = Observer(name="node-a", run="0" * 32, version="1")
_EPOCH = 1_000_000 * SECOND
_ENDINGS = (
    *("by client", "by server", "reset by client", "reset by server", "open"),
    *("refused", "unanswered", "half open, reset", "half open, repeated"),
)


@st.composite
def connections(draw: st.DrawFn, number: int) -> list[Frame]:  # noqa: C901, PLR0911 - ending by ending
    """All packets of one connection, as Linux sends them."""
    client, server = ("10.0.0.1", 30000 + number), ("10.0.0.2", draw(st.sampled_from([80, 443])))
    now = draw(st.floats(0, 150))
    way = draw(st.sampled_from([0.0001, 0.03, 0.4]))  # seconds there and back
    c, s = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**32 - 1))
    ending = draw(st.sampled_from(_ENDINGS))
    frames: list[Frame] = []

    def say(at: float, flags: int, *, by_client: bool, size: int = 0) -> None:
        ends = (client, server) if by_client else (server, client)
        mine, theirs = (c, s) if by_client else (s, c)
        frames.append(Frame(at, *ends, flags, mine, theirs if flags & ACK else 0, size))

    say(now, SYN, by_client=True)
    if ending == "unanswered":
        for after in (1, 3, 7):
            say(now + after, SYN, by_client=True)
        return frames
    c += 1
    if ending == "refused":
        frames.append(Frame(now + way, server, client, RST | ACK, 0, c))
        return frames
    say(now + way, SYN | ACK, by_client=False)
    if ending == "half open, repeated":
        for after in (1, 3, 7, 15, 31):
            say(now + way + after, SYN | ACK, by_client=False)
        return frames
    s += 1
    now += way + 0.0001
    if ending == "half open, reset":
        frames.append(Frame(now, client, server, RST, c, 0))
        return frames
    say(now, ACK, by_client=True)
    for size in draw(st.lists(st.integers(0, 1400), max_size=6)):
        now += draw(st.sampled_from([0.001, 0.5, 20.0]))
        by_client = draw(st.booleans())
        say(now, PSH | ACK, by_client=by_client, size=size)
        c, s = (c + size, s) if by_client else (c, s + size)
        say(now + way, ACK, by_client=not by_client)
    now += way + draw(st.sampled_from([0.001, 5.0, 70.0]))
    if ending == "open":
        return frames
    first = ending in {"by client", "reset by client"}
    if ending.startswith("reset"):
        say(now, RST | ACK, by_client=first)
        return frames
    say(now, FIN | ACK, by_client=first)
    c, s = (c + 1, s) if first else (c, s + 1)
    say(now + way, FIN | ACK, by_client=not first)
    c, s = (c, s + 1) if first else (c + 1, s)
    say(now + way + 0.001, ACK, by_client=first)
    return frames


TRAFFIC = st.lists(st.just(None), min_size=1, max_size=8).flatmap(
    lambda several: st.tuples(*(connections(number) for number in range(len(several))))
)


def windows_of(frames: list[Frame], length: int, limits: Limits | None = None) -> Iterator[Window]:
    """What an agent records that sees openings and closings only, and is stopped long after the last packet."""
    recorder = Recorder(_OBSERVER, length, _EPOCH, limits)
    now = _EPOCH
    for frame in frames:
        now = max(now, _EPOCH + round(frame.time * 1e9))
        yield from recorder.tick(now)
        if frame.flags & (SYN | FIN | RST):
            yield from recorder.take(records_of([frame], _EPOCH))
    for _ in range(4):  # as the clock goes on
        now += max(length, 10 * SECOND)
        yield from recorder.tick(now)
    yield recorder.close(now, last=True)


def rows_of_all(frames: list[Frame]) -> set[Row]:
    tally = Tally()
    items = decode(records_of(frames, _EPOCH), FragmentTable(16, tally), tally)
    return rows(assemble(item.batch for item in items))


@settings(max_examples=60, deadline=None)
@given(TRAFFIC, st.sampled_from([1, 7, 60]))
def test_rows_are_the_same(traffic: tuple[list[Frame], ...], length: int) -> None:
    frames = sorted((frame for each in traffic for frame in each), key=lambda frame: frame.time)
    windows = list(windows_of(frames, length * SECOND))
    assert rows(assemble(window.records for window in windows)) == rows_of_all(frames)
    assert sum(window.packets for window in windows) == sum(
        int(records["packets"].sum()) for records in (window.records for window in windows)
    )
    assert [window.number for window in windows] == list(range(len(windows)))
    assert all(one.end <= other.begin for one, other in pairwise(windows))


@settings(max_examples=20, deadline=None)
@given(TRAFFIC)
def test_a_table_that_is_too_small_counts_what_it_evicts(traffic: tuple[list[Frame], ...]) -> None:
    frames = sorted((frame for each in traffic for frame in each), key=lambda frame: frame.time)
    windows = list(windows_of(frames, 60 * SECOND, Limits(records=2, pieces=1)))
    assert all(len(window.records) <= 2 for window in windows)
    kept = sum(int(window.records["packets"].sum()) for window in windows)
    evicted = sum(window.losses.evicted for window in windows)
    seen = sum(window.packets for window in windows)
    assert kept <= seen
    assert (kept == seen) == (evicted == 0)
