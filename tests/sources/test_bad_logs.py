"""Broken logs of every kind: never a traceback, every line counted once, named by its line, and the rest used."""

from __future__ import annotations

import json
import re
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.names.table import Names
from netpol.sources.kinds import Kind, kind_of
from netpol.sources.read import Log, read_log
from netpol.sources.tally import LogTally
from tests.sources.logs import flows_of
from tests.sources.samples import SOUND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.flows.table import FlowTable

KINDS = sorted(Kind, key=lambda kind: kind.name)


def read(text: bytes, kind: Kind) -> tuple[FlowTable, LogTally]:
    """As `flows` reads and writes it."""
    table, tally = flows_of(text, names=Names(), kind=kind)
    assert all(flow.first_seen <= flow.last_seen for flow in table)
    return table, tally


def _says_nothing(line: bytes) -> bool:
    """A heading: of Zeek's logs, or of AWS VPC's; what stands around the elements of an array."""
    return line.startswith(b"#") or b"srcaddr" in line or line.strip() in {b"[", b"]", b"],", b","}


@pytest.mark.parametrize("kind", KINDS)
def test_the_sound_lines_are_sound(kind: Kind) -> None:
    assert kind_of(SOUND[kind]) is kind
    _, tally = read(SOUND[kind], kind)
    assert not tally.damaged
    assert tally.used
    assert tally.records == sum(not _says_nothing(line) for line in SOUND[kind].splitlines())


NUMBERS = st.sampled_from(
    [0, -1, 1, 65535, 65536, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 10**400, 1e300, -0.0, 0.5]
)
TEXTS = st.sampled_from(
    [
        *("", "-", "0", "-1", "9" * 400, "1e999", "nan", "inf", "0x10", "\u0663", "10.0.0.256", "::ffff:1.2.3.4"),
        *("2262-04-11T23:47:17Z", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
        *("\x00", "\ud800", "a" * 300, "a." * 300, "[::1", "TCP", "true", "null", "\u2028", "Infinity", "fe80::1%eth0"),
    ]
)
VALUES: st.SearchStrategy[Any] = (
    NUMBERS | TEXTS | st.none() | st.booleans() | st.lists(NUMBERS | TEXTS, max_size=3) | st.just({}) | st.text()
)


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with something in it replaced, taken out or put in."""
    if isinstance(value, dict) and value and draw(st.integers(0, 9)) < 8:
        name = draw(st.sampled_from(sorted(value)))
        how = draw(st.sampled_from(["within", "within", "within", "within", "without", "renamed", "more"]))
        if how == "within":
            return {**value, name: draw(changed(value[name]))}
        others = {each: value[each] for each in value if each != name}
        if how == "without":
            return others
        if how == "renamed":
            return {**others, draw(st.text(max_size=3)): value[name]}
        return {
            **value,
            draw(st.sampled_from(["flow", "Key", "key", "l7", "is_reply", "jsonPayload", "msg"])): draw(VALUES),
        }
    return draw(VALUES)


@st.composite
def broken_line(draw: st.DrawFn, line: bytes) -> bytes:
    """A line that was hurt: in its bytes, in a field, or in what JSON it holds."""
    how = draw(st.sampled_from(["cut", "bytes", "field", "json", "json", "json", "twice"]))
    if how == "json" and line.startswith(b"{"):
        value = draw(changed(json.loads(line)))
        value = {"x": value} if isinstance(value, list) else value  # an array would be of several records
        return json.dumps(value).encode("utf-8", "surrogatepass") or b"x"
    if how == "cut":
        at = draw(st.integers(1, len(line)))
        return line[:at]
    if how == "twice":
        return line + line
    if how == "bytes":
        at = draw(st.integers(0, len(line)))
        return (
            line[:at]
            + draw(st.binary(min_size=1, max_size=5)).replace(b"\n", b" ")
            + line[at + draw(st.integers(0, 5)) :]
        )
    words = re.split(rb"([\s=,:]+)", line)
    at = draw(st.integers(0, len(words) - 1))
    words[at] = str(draw(NUMBERS | TEXTS)).encode("utf-8", "replace").replace(b"\n", b" ")
    return b"".join(words)


@settings(max_examples=100, deadline=None)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_whatever_is_broken_is_counted_and_the_rest_is_used(kind: Kind, data: st.DataObject) -> None:
    """A sound log, and behind it the same with one line hurt."""
    sound = SOUND[kind].splitlines()
    entry = st.sampled_from([at for at, line in enumerate(sound) if not _says_nothing(line)])
    at = data.draw(entry)
    hurt = data.draw(broken_line(sound[at]))
    text = b"\n".join([*sound, *sound[:at], hurt, *sound[at + 1 :]]) + b"\n"
    _, tally = read(text, kind)
    _, whole = read(SOUND[kind], kind)
    if not _says_nothing(hurt):
        assert tally.records == sum(not _says_nothing(line) for line in text.split(b"\n") if line.strip())
        assert tally.used >= 2 * whole.used - 1
    for place in tally.places:
        assert re.fullmatch(rf"log: line {len(sound) + at + 1}: [ -~]{{1,120}}", place), place


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_a_record_of_another_log_is_named_as_such_and_never_taken_for_one_of_this(kind: Kind, other: Kind) -> None:
    if {kind, other} <= {Kind.ZEEK, Kind.ZEEK_JSON} or kind is other:
        pytest.skip("the same log")
    foreign = [line for line in SOUND[other].splitlines() if not _says_nothing(line)]
    table, tally = read(SOUND[kind] + b"\n".join(foreign) + b"\n", kind)
    whole, alone = read(SOUND[kind], kind)
    assert list(map(str, table)) == list(map(str, whole))
    assert tally.used == alone.used
    assert sum(tally.damaged.values()) + sum(tally.passed_over.values()) == len(foreign) + sum(
        alone.passed_over.values()
    )
    if other not in {Kind.ZEEK, Kind.VPC}:  # whose rows say nothing without their headings
        assert tally.damaged == {f"a record of another log ({other.value})": len(foreign)}


CLOCKS = {
    "hours back": ("2023-11-14T16:13:20.123456789Z", "1699978400"),
    "1970": ("1970-01-01T00:01:00Z", "60"),
    "2249": ("2249-12-31T23:00:00Z", "8835950000"),
    "2262": ("2262-04-11T23:47:16Z", "9223372036"),
    "9999": ("9999-12-31T23:59:59Z", "253402300799"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("first", [True, False])
def test_a_clock_that_jumps_takes_no_other_line_with_it(kind: Kind, clock: str, first: bool) -> None:  # noqa: FBT001
    written, seconds = CLOCKS[clock]
    text = re.sub(rb"2023-11-14T22:13:20[.0-9]*Z", written.encode(), SOUND[kind])
    text = re.sub(rb"17000000\d\d(?=\d{9}\b)", seconds.encode(), text)
    text = re.sub(rb"\b17000000\d\d\b", seconds.encode(), text)
    _, alone = read(SOUND[kind], kind)
    _, tally = read(text + SOUND[kind] if first else SOUND[kind] + text, kind)
    assert tally.used >= alone.used
    beyond = clock in {"2262", "9999"}
    assert bool(tally.damaged) is (beyond and text != SOUND[kind])
    if not beyond:
        assert tally.used == 2 * alone.used


_LONG = 1_000_000
TIRING = [
    b"tcp 6 1 " + b"a" * _LONG,
    b"tcp 6 1 " + b"src=" * (_LONG // 4),
    b"tcp 6 1 " + b"src=a dst=b " * (_LONG // 12),
    b"2 " * (_LONG // 2),
    b"[" + b"1" * _LONG,
    b"[{" * (_LONG // 2),
    b" " * _LONG + b"x",
    b"2 123456789012 eni-" + b"- " * (_LONG // 2),
    b"Node: " + b";" * _LONG,
    b"\t" * _LONG + b"x",
    b"{" + b" " * _LONG + b"x",
    b'{"msg": "Flow Info: Src IP: ' + b"1 " * (_LONG // 2) + b'"}',
    b'{"ts": "' + b"1" * _LONG + b'"}',
]


@pytest.mark.parametrize("kind", KINDS)
def test_no_line_takes_more_time_than_it_has_bytes(kind: Kind) -> None:
    """Each of these would keep a pattern that tries again from every byte at work for hours."""
    for line in TIRING:
        assert kind_of(line[: 1 << 16]) in {None, Kind.CONNTRACK}
        _, tally = read(SOUND[kind] + line + b"\n", kind)
        assert sum(tally.damaged.values()) + sum(tally.passed_over.values()) >= 1


def endless(kind: Kind, size: int) -> Iterator[bytes]:
    """Lines that are too long, too deep, or never end, between sound ones."""
    yield SOUND[kind]
    yield b'{"flow": "'
    for _ in range(size >> 18):
        yield b"x" * (1 << 18)
    yield b"\n" + b"{" + b" " * (1 << 21) + b"\n"
    yield b'{"flow":' * 100_000 + b"\n" + b"[" * 900_000 + b"\n"
    yield SOUND[kind]


class Stream:
    """Bytes that nobody holds."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readinto(self, buffer: memoryview, /) -> int:
        while not self._rest:
            self._rest = next(self._pieces, b"")
            if not self._rest:
                return 0
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_of_100_mb_and_one_nested_too_deeply_take_no_memory(kind: Kind) -> None:
    tally, alone = LogTally(), LogTally()
    for each in read_log(_log(Stream(iter([SOUND[kind]])), kind), alone):
        assert len(each)
    tracemalloc.start()
    try:
        for each in read_log(_log(Stream(endless(kind, 100 << 20)), kind), tally):
            assert len(each)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 << 20
    assert tally.used == 2 * alone.used
    assert sum(tally.damaged.values()) == 4
    assert tally.damaged["longer than 1 MiB"] == 2


def _log(reader: Stream, kind: Kind) -> Log:
    return Log(reader=reader, kind=kind, place="log", changed=0)


@pytest.mark.parametrize("kind", [Kind.CALICO, Kind.CONNTRACK, Kind.GKE, Kind.INSPEKTOR])
def test_of_what_is_held_because_more_may_be_said_there_is_so_much(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line is about a connection of its own: all are told in the end, and few are held meanwhile."""
    monkeypatch.setattr("netpol.sources.read._REMEMBERED", 50)
    monkeypatch.setattr("netpol.sources.read.AT_ONCE", 100)
    line = SOUND[kind].splitlines()[0] + b"\n"
    lines = (line.replace(b"10.0.0.1", f"10.0.{n >> 8}.{n & 255}".encode()) for n in range(256, 5256))
    tally = LogTally()
    sizes = [len(item) for item in read_log(_log(Stream(lines), kind), tally)]
    assert (sum(sizes), tally.used) == (5000, 5000)
    assert max(sizes) <= 200


def test_counts_that_add_up_to_more_than_a_column_holds_are_refused() -> None:
    """Each could be true; all together they would come out small, or negative."""
    record = json.loads(SOUND[Kind.CALICO].splitlines()[0]) | {"bytes_in": (1 << 50) - 1, "bytes_out": (1 << 50) - 1}
    text = b"".join(json.dumps(record | {"start_time": at, "end_time": at}).encode() + b"\n" for at in range(9000))
    table, tally = read(text, Kind.CALICO)
    (flow,) = table
    assert flow.bytes == tally.used * 2 * ((1 << 50) - 1) <= 1 << 58
    assert tally.damaged == {"counts that add up to more than can be": 9000 - tally.used}
