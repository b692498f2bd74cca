"""pcap and pcapng in all their variants, made by hand."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.capture.packets import Limits
from netpol.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.capture.conftest import Read, Result, Write

UDP = bytes.fromhex("4500001c000000004011000001020304050607080035003600080000")
"""Raw IPv4: 1.2.3.4:53 to 5.6.7.8:54, UDP without payload."""
TINY = Limits(block=64, smallest_block=64)


def _pcap(magic: int, order: str, *, version: tuple[int, int] = (2, 4), linktype: int = 101) -> bytes:
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, 65535, linktype)


def _times(result: Result) -> list[int]:
    return [packet.time for packet in result.packets]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return tmp_path / "capture"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_pcap_of_both_byte_orders_and_resolutions(order: str, magic: int, unit: int, capture: Path, read: Read) -> None:
    record = struct.pack(order + "IIII", 7, 9, len(UDP), 1000) + UDP
    capture.write_bytes(_pcap(magic, order) + record * 2)
    result = read([capture])
    assert [(each.time, each.length) for each in result.packets] == [(7 * 10**9 + 9 * unit, 1000)] * 2
    assert result.packets[0].ends == ("1.2.3.4", "5.6.7.8", 17, 53, 54)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_modified_record_header_has_eight_more_bytes(order: str, capture: Path, read: Read) -> None:
    record = struct.pack(order + "IIIIIHBB", 7, 9, len(UDP), len(UDP), 3, 8, 0, 0) + UDP
    capture.write_bytes(_pcap(0xA1B2CD34, order) + record * 3)
    assert _times(read([capture])) == [7 * 10**9 + 9000] * 3


@pytest.mark.parametrize("version", [(2, 2), (2, 3), (543, 0)])
def test_old_versions_have_the_lengths_swapped(version: tuple[int, int], capture: Path, read: Read) -> None:
    record = struct.pack("<IIII", 7, 9, 1000, len(UDP)) + UDP
    capture.write_bytes(_pcap(0xA1B2C3D4, "<", version=version) + record * 2)
    assert [packet.length for packet in read([capture]).packets] == [1000, 1000]


def test_frame_checksum_bits_are_no_part_of_the_link_type(capture: Path, read: Read) -> None:
    record = struct.pack("<IIII", 7, 9, len(UDP), len(UDP)) + UDP
    capture.write_bytes(_pcap(0xA1B2C3D4, "<", linktype=0x5400_0000 | 101) + record)
    assert read([capture]).tally.decoded == 1


def test_an_unknown_link_type_is_counted_by_its_number(capture: Path, read: Read, pcap_bytes: Write) -> None:
    capture.write_bytes(pcap_bytes([UDP] * 3, linktype=147))
    assert read([capture]).tally.undecoded == {"linktype 147": 3}


def test_a_capture_without_packets_is_a_capture(capture: Path, read: Read, pcap_bytes: Write) -> None:
    capture.write_bytes(pcap_bytes([]))
    result = read([capture])
    assert (result.tally.captures, result.tally.packets, result.tally.lost) == (1, 0, 0)


@pytest.mark.parametrize("limits", [Limits(), TINY])
def test_every_cut_of_the_last_record_is_counted(limits: Limits, capture: Path, read: Read, pcap_bytes: Write) -> None:
    whole = pcap_bytes([UDP] * 3, linktype=101)
    record = 16 + len(UDP)
    for cut in range(24, len(whole)):
        capture.write_bytes(whole[:cut])
        tally = read([capture], limits).tally
        complete, rest = divmod(cut - 24, record)
        assert (tally.decoded, tally.lost) == (complete, int(rest > 0)), cut
        places = [f"{capture}: byte {24 + complete * record}: the last record is cut off"] if rest else []
        assert tally.damaged == places


@pytest.mark.parametrize("limits", [Limits(), TINY])
def test_a_lying_record_ends_the_capture_with_its_place(
    limits: Limits, capture: Path, read: Read, pcap_bytes: Write
) -> None:
    good = pcap_bytes([UDP] * 3, linktype=101)
    lie = struct.pack("<IIII", 7, 9, 0x7FFFFFFF, 0x7FFFFFFF)
    capture.write_bytes(good + lie + good[24:])
    tally = read([capture], limits).tally
    assert (tally.decoded, tally.lost, len(tally.damaged)) == (3, 1, 1)
    assert f"{capture}: byte {len(good)}: a record claims 2147483647 captured bytes" in tally.damaged[0]


def test_a_lie_in_the_first_record_leaves_nothing_to_use(capture: Path, read: Read, pcap_bytes: Write) -> None:
    capture.write_bytes(pcap_bytes([]) + b"\xff" * 100)
    with pytest.raises(InputError, match="byte 24: a record claims 4294967295"):
        read([capture])


def _block(order: str, kind: int, body: bytes) -> bytes:
    body = body.ljust((len(body) + 3) // 4 * 4, b"\0")
    total = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + total + body + total


def _section(order: str = "<") -> bytes:
    return _block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def _option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value.ljust((len(value) + 3) // 4 * 4, b"\0")


def _interface(order: str = "<", linktype: int = 101, snaplen: int = 0, options: bytes = b"") -> bytes:
    return _block(order, 1, struct.pack(order + "HHI", linktype, 0, snaplen) + options)


def _packet(units: int, data: bytes = UDP, *, order: str = "<", interface: int = 0, wire: int | None = None) -> bytes:
    fields = (interface, units >> 32, units & 0xFFFFFFFF, len(data), len(data) if wire is None else wire)
    return _block(order, 6, struct.pack(order + "IIIII", *fields) + data)


def _simple(data: bytes = UDP, *, wire: int | None = None) -> bytes:
    return _block("<", 3, struct.pack("<I", len(data) if wire is None else wire) + data)


ETHERNET = bytes(12) + b"\x08\x00" + UDP


@pytest.mark.parametrize("limits", [Limits(), TINY])
def test_sections_of_either_byte_order_with_interfaces_of_several_link_types(
    limits: Limits, capture: Path, read: Read
) -> None:
    parts = []
    for order in "<><":
        parts += [_section(order), _interface(order), _interface(order, linktype=1)]
        parts += [_packet(5_000_000, order=order), _packet(6_000_000, ETHERNET, order=order, interface=1)]
    capture.write_bytes(b"".join(parts))
    result = read([capture], limits)
    assert _times(result) == [5 * 10**9, 6 * 10**9] * 3
    assert {packet.ends for packet in result.packets} == {("1.2.3.4", "5.6.7.8", 17, 53, 54)}
    assert result.tally.undecoded == {}


@pytest.mark.parametrize(
    ("resolution", "units", "nanoseconds"),
    [
        (0, 12, 12 * 10**9),
        (3, 1_234, 1_234_000_000),
        (9, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (12, 1_700_000_123_456_789, 1_700_000_123_456),
        (0x80, 3, 3 * 10**9),
        (0x80 | 1, 3, 1_500_000_000),
        (0x80 | 10, 1 << 10, 10**9),
        (0x80 | 32, (1 << 32) + (1 << 31), 1_500_000_000),
        (0x80 | 40, (5 << 40) + (1 << 38), 5_250_000_000),
        (0x80 | 63, 1 << 62, 500_000_000),
        (0xFF, 1 << 62, 0),
        (0x7F, 1 << 62, 0),
    ],
)
def test_time_resolutions(resolution: int, units: int, nanoseconds: int, capture: Path, read: Read) -> None:
    options = _option("<", 9, bytes([resolution])) + _option("<", 0, b"")
    capture.write_bytes(_section() + _interface(options=options) + _packet(units))
    assert _times(read([capture])) == [nanoseconds]


def test_a_time_that_nothing_can_hold_is_the_last_one_that_can(capture: Path, read: Read) -> None:
    options = _option("<", 9, b"\0") + _option("<", 14, struct.pack("<q", 2**62))
    capture.write_bytes(_section() + _interface(options=options) + _packet(2**64 - 1))
    assert _times(read([capture])) == [9_223_372_035 * 10**9]


def test_the_time_offset_is_added(capture: Path, read: Read) -> None:
    options = _option("<", 14, struct.pack("<q", -5))
    capture.write_bytes(_section() + _interface(options=options) + _packet(7_000_001))
    assert _times(read([capture])) == [2_000_001_000]


@pytest.mark.parametrize("limits", [Limits(), TINY])
def test_simple_packets_are_of_the_first_interface_and_have_the_time_of_the_packet_before(
    limits: Limits, capture: Path, read: Read
) -> None:
    cut = _simple(UDP, wire=900)
    capture.write_bytes(_section() + _interface(snaplen=28) + _simple() + _packet(3_000_000) + cut + _simple())
    result = read([capture], limits)
    assert [(each.time, each.length) for each in result.packets] == [
        (0, 28),
        (3 * 10**9, 28),
        (3 * 10**9, 900),
        (3 * 10**9, 28),
    ]


def test_obsolete_packets_count_their_drops(capture: Path, read: Read) -> None:
    body = struct.pack("<HHIIII", 0, 4, 0, 2_000_000, len(UDP), len(UDP)) + UDP
    unknown = struct.pack("<HHIIII", 0, 0xFFFF, 0, 2_000_000, len(UDP), len(UDP)) + UDP
    capture.write_bytes(_section() + _interface() + _block("<", 2, body) + _block("<", 2, unknown))
    result = read([capture])
    assert (_times(result), result.tally.lost) == ([2 * 10**9] * 2, 4)


def test_statistics_are_totals_of_which_the_last_holds(capture: Path, read: Read) -> None:
    def statistics(interface: int, by_interface: int, by_system: int) -> bytes:
        options = _option("<", 5, struct.pack("<Q", by_interface)) + _option("<", 7, struct.pack("<Q", by_system))
        return _block("<", 5, struct.pack("<III", interface, 0, 0) + options)

    parts = [
        _section(),
        _interface(),
        _interface(),
        statistics(0, 5, 0),
        _packet(1),
        statistics(0, 7, 2),
        statistics(1, 1, 0),
    ]
    capture.write_bytes(b"".join(parts) + statistics(9, 100, 100))
    assert read([capture]).tally.lost == 10


@pytest.mark.parametrize("limits", [Limits(), TINY])
def test_blocks_that_hold_no_packet_are_passed_over_whatever_their_size(
    limits: Limits, capture: Path, read: Read
) -> None:
    filler = _block("<", 0x0BAD, bytes(300_000))
    capture.write_bytes(_section() + filler + _interface() + filler + _packet(1_000_000) + filler + _packet(2_000_000))
    result = read([capture], limits)
    assert (_times(result), result.tally.damaged) == ([10**9, 2 * 10**9], [])


def test_packets_of_no_interface_and_damaged_blocks_are_counted(capture: Path, read: Read) -> None:
    lie = _block("<", 6, struct.pack("<IIIII", 0, 0, 0, 5000, 5000) + UDP)
    later = _packet(1, interface=1) + _interface() + _packet(1_000_000, interface=1)
    capture.write_bytes(_section() + _interface() + lie + later)
    result = read([capture])
    assert result.tally.undecoded == {"damaged pcapng block": 1, "pcapng interface not described": 1}
    assert _times(result) == [10**9]


@pytest.mark.parametrize("limits", [Limits(), TINY])
@pytest.mark.parametrize(
    ("block", "message"),
    [
        (struct.pack("<III", 6, 13, 13), "a block claims a length of 13 bytes"),
        (struct.pack("<III", 6, 8, 8), "a block claims a length of 8 bytes"),
        (struct.pack("<III", 6, 0x40000000, 0), "a block claims a length of 1073741824 bytes"),
        (_packet(1)[:-4] + b"\1\0\0\0", "a block has the length 60 at its start and 1 at its end"),
    ],
)
def test_a_lying_block_ends_the_capture_with_its_place(
    block: bytes, message: str, limits: Limits, capture: Path, read: Read
) -> None:
    before = _section() + _interface() + _packet(1) * 2
    capture.write_bytes(before + block + _packet(1) * 2)
    tally = read([capture], limits).tally
    assert (tally.decoded, tally.lost) == (2, 1)
    assert tally.damaged == [f"{capture}: byte {len(before)}: {message}"]


@pytest.mark.parametrize("limits", [Limits(), TINY])
def test_every_cut_of_a_pcapng_is_used_up_to_there(limits: Limits, capture: Path, read: Read) -> None:
    before = _section() + _interface()
    whole = before + _packet(1) * 2 + _section(">") + _interface(">") + _packet(1, order=">")
    ends = [len(before), len(before) + 60, len(before) + 120, len(before) + 148, len(before) + 168]
    for cut in range(28, len(whole)):
        capture.write_bytes(whole[:cut])
        tally = read([capture], limits).tally
        packets = min(2, max(0, (cut - len(before)) // 60))
        assert (tally.decoded, tally.lost) == (packets, int(cut not in {28, *ends})), cut


@pytest.mark.parametrize(
    "head",
    [
        _section()[:20],
        _section().replace(b"\x4d\x3c\x2b\x1a", b"\0\0\0\0"),
        _block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 9, 0, -1)),
    ],
)
def test_a_pcapng_without_a_usable_start_is_an_error(head: bytes, capture: Path, read: Read) -> None:
    capture.write_bytes(head)
    if len(head) < 28:
        assert read([capture]).tally.lost == 1
    else:
        with pytest.raises(InputError, match=r"section header has no byte order|version 9\.0"):
            read([capture])


@settings(max_examples=60, deadline=None)
@given(
    blocks=st.lists(
        st.sampled_from(
            [
                _section(),
                _interface(),
                _interface(linktype=1),
                _packet(1_000_000),
                _packet(2_000_000, ETHERNET, interface=1),
                _packet(5, UDP + bytes(2000)),
                _simple(),
                _block("<", 0x0BAD, bytes(777)),
                _packet(1, interface=3),
            ]
        ),
        max_size=40,
    ),
    block=st.integers(64, 4000),
)
def test_the_size_of_the_blocks_does_not_change_a_pcapng(
    blocks: list[bytes], block: int, tmp_path_factory: pytest.TempPathFactory, read: Read
) -> None:
    capture = tmp_path_factory.mktemp("sizes") / "capture"
    capture.write_bytes(_section() + b"".join(blocks))
    whole, parts = read([capture]), read([capture], Limits(block=block, smallest_block=64, rows=3))
    assert whole.by_family == parts.by_family
    assert whole.tally == parts.tally
