"""Handshakes whose last packet is never captured: which of them are taken for complete, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netpol.agent.recorder import Observer, Recorder
from netpol.flows.assemble import assemble
from netpol.flows.limits import SECOND
from tests.agent.frames import ACK, CLIENT, FIN, PSH, RST, SERVER, SYN, Frame, from_client, from_server, records_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.dataset.window import Window
    from netpol.model.flow import Flow

_OBSERVER = Observer(name="node-a", run="0" * 32, version="1")
_MINUTE = 60 * SECOND

ASKED = from_client(1.0, SYN, 1000)
ANSWERED = from_server(1.01, SYN | ACK, 5000, 1001)
HANDSHAKE = (ASKED, ANSWERED)


def recorder() -> Recorder:
    return Recorder(_OBSERVER, _MINUTE, 0)


def recorded(frames: Sequence[Frame], until: float, *, dropped: float | None = None) -> list[Window]:
    """The windows of an agent that is stopped at `until`; packets were dropped at some time, if any."""
    found = recorder()
    windows: list[Window] = []
    for frame in sorted(frames):
        if dropped is not None and frame.time > dropped:
            found.lose(3, round(dropped * SECOND))
            dropped = None
        windows += found.take(records_of([frame]))
    if dropped is not None:
        found.lose(3, round(dropped * SECOND))
    windows += found.tick(round(until * SECOND))
    return [*windows, found.close(round(until * SECOND), last=True)]


def flow_of(windows: Sequence[Window]) -> Flow:
    (flow,) = assemble(window.records for window in windows)
    return flow


REPEATED = [from_server(1.01 + after, SYN | ACK, 5000, 1001) for after in (1, 3, 7, 15, 31)]


@pytest.mark.parametrize(
    ("frames", "until", "outcome"),
    [
        (HANDSHAKE, 4.4, "unanswered"),  # 3 s for the first repetition, half a second for a late timer
        (HANDSHAKE, 4.6, "established"),
        ((*HANDSHAKE, *REPEATED[:1]), 5.4, "unanswered"),  # 1 s between them: another 1 + 3 + 0.5
        ((*HANDSHAKE, *REPEATED[:1]), 6.6, "established"),
        ((*HANDSHAKE, *REPEATED[:2]), 10.4, "unanswered"),
        ((*HANDSHAKE, *REPEATED[:2]), 10.6, "established"),
        ((*HANDSHAKE, *REPEATED), 300, "unanswered"),  # the server gave up
        ((ASKED,), 300, "unanswered"),
        ((*HANDSHAKE, from_client(1.02, RST, 1001)), 300, "refused"),  # a half-open scan
        ((*HANDSHAKE, from_client(1.02, RST | ACK, 1001, 5001)), 1.5, "established"),  # the client gave up at once
        ((*HANDSHAKE, from_client(1.02, RST, 1501)), 1.5, "established"),  # and after 500 bytes
        ((*HANDSHAKE, from_server(1.02, RST, 5001)), 1.5, "established"),  # nobody resets what was not acknowledged
        ((ASKED, from_server(1.01, RST | ACK, 0, 1001)), 1.5, "refused"),
        ((*HANDSHAKE, from_client(1.5, FIN | ACK, 1001, 5001)), 1.6, "established"),
        ((*HANDSHAKE, from_server(1.5, FIN | ACK, 5001, 1001)), 1.6, "established"),
        ((*HANDSHAKE, from_client(1.5, PSH | ACK, 1001, 5001, 100)), 1.6, "established"),  # a sampled packet
    ],
)
def test_outcomes(frames: Sequence[Frame], until: float, outcome: str) -> None:
    flow = flow_of(recorded(frames, until))
    assert (flow.outcome.label, flow.direction.label, flow.connections) == (outcome, "syn", 1)
    assert flow.packets == len(frames)


@pytest.mark.parametrize(("dropped", "outcome"), [(0.5, "established"), (2.0, "unanswered")])
def test_silence_says_nothing_where_packets_were_dropped(dropped: float, outcome: str) -> None:
    windows = recorded(HANDSHAKE, 10, dropped=dropped)
    assert flow_of(windows).outcome.label == outcome
    assert sum(window.losses.kernel for window in windows) == 3


@pytest.mark.parametrize("begin", [57.0, 58.5, 59.995])
def test_a_handshake_at_the_end_of_a_window_is_handed_over_when_it_is_settled(begin: float) -> None:
    """Once, with all that was seen of it."""
    frames = [frame._replace(time=frame.time - 1 + begin) for frame in HANDSHAKE]
    found = recorder()
    windows = [window for frame in frames for window in found.take(records_of([frame]))]
    if not windows:
        windows = list(found.tick(61 * SECOND))
    (first,) = windows
    assert len(first.records) == 0
    second = found.close(119 * SECOND, last=True)
    assert len(second.records) == 1
    assert flow_of([first, second]).outcome.label == "established"
    assert (first.begin, first.end, second.begin) == (0, _MINUTE, _MINUTE)


def test_an_attempt_that_nobody_answers_stays_in_its_window() -> None:
    found = recorder()
    assert not list(found.take(records_of([from_client(50, SYN, 1)])))
    (window,) = found.tick(61 * SECOND)
    assert len(window.records) == 1


def handshakes(count: int, first: int = 0, *, closed: bool = False) -> list[Frame]:
    frames = list(HANDSHAKE)
    if closed:
        frames.append(from_client(1.5, FIN | ACK, 1001, 5001))
    return [
        frame._replace(
            source=("10.9.0.1", 1000 + number) if frame.source[0] == CLIENT[0] else SERVER,
            destination=SERVER if frame.source[0] == CLIENT[0] else ("10.9.0.1", 1000 + number),
        )
        for number in range(first, first + count)
        for frame in frames
    ]


@pytest.mark.parametrize(
    ("silent", "closed", "established"),
    [(100, 0, 100), (101, 0, 0), (101, 101, 202), (101, 100, 100)],
)
def test_silence_is_not_believed_of_a_server_that_is_flooded(silent: int, closed: int, established: int) -> None:
    """It may answer with cookies, which are not repeated."""
    frames = [*handshakes(silent), *handshakes(closed, silent, closed=True)]
    windows = recorded(frames, 10)
    found = {flow.outcome.label: flow.connections for flow in assemble(window.records for window in windows)}
    assert found.get("established", 0) == established
    assert sum(found.values()) == silent + closed


def test_numbers_tell_of_payload_that_was_not_captured() -> None:
    frames = (
        *HANDSHAKE,
        from_client(1.5, FIN | ACK, 1001 + 300, 5001 + 70_000),
        from_server(1.6, FIN | ACK, 5001 + 70_000, 1001 + 301),
    )
    flow = flow_of(recorded(frames, 2))
    assert flow.two_way
    assert flow.bytes == 4 * 54 + 300 + 70_000


def test_numbers_wrap_around() -> None:
    last = 0xFFFF_FFFF
    frames = (
        from_client(1, SYN, last),
        from_server(1.1, SYN | ACK, last - 10, last + 1),
        from_client(1.5, FIN | ACK, last + 1 + 200, last - 9 + 500),
        from_server(1.6, FIN | ACK, last - 9 + 500, last + 1 + 201),
    )
    flow = flow_of(recorded(frames, 2))
    assert flow.outcome.label == "established"
    assert flow.bytes == 4 * 54 + 200 + 500


def test_a_fin_and_a_keepalive_are_no_payload() -> None:
    frames = (
        *HANDSHAKE,
        from_client(1.3, ACK, 1000, 5001),  # a keep-alive: one before what comes next
        from_client(1.5, FIN | ACK, 1001, 5001),
        from_server(1.6, FIN | ACK, 5001, 1002),
        from_client(1.7, ACK, 1002, 5002),
    )
    flow = flow_of(recorded(frames, 2))
    assert not flow.two_way
    assert flow.bytes == 6 * 54


def test_samples_of_an_old_connection_tell_that_data_went_both_ways() -> None:
    """None of these carries any; what they acknowledge does."""
    frames = (
        from_client(1, ACK, 1000, 9000),
        from_client(2, ACK, 1500, 9000),
        from_client(3, ACK, 1500, 9900),
    )
    flow = flow_of(recorded(frames, 5))
    assert (flow.outcome.label, flow.two_way) == ("midstream", True)


def test_two_connections_on_the_same_ports_are_not_mixed_up() -> None:
    again = [
        from_client(20, SYN, 777_000),
        from_server(20.1, SYN | ACK, 888_000, 777_001),
        from_client(20.5, FIN | ACK, 777_001, 888_001),
    ]
    first = [*HANDSHAKE, from_client(1.5, FIN | ACK, 1001, 5001)]
    flow = flow_of(recorded([*first, *again], 30))
    assert (flow.connections, flow.bytes) == (2, 6 * 54)


def test_a_clock_that_is_put_back_ends_the_window() -> None:
    found = Recorder(_OBSERVER, _MINUTE, 3600 * SECOND)
    assert not list(found.take(records_of(HANDSHAKE, 3600 * SECOND)))
    (window,) = found.tick(60 * SECOND)
    assert (window.begin, window.end) == (3600 * SECOND, 3601 * SECOND + SECOND // 100)
    later = found.close(90 * SECOND, last=True)
    assert (later.begin, later.end) == (60 * SECOND, 90 * SECOND)
