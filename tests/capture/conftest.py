"""Helpers of the capture tests: files to packets as plain tuples, and the third-party captures."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest

from netpol.capture.packets import Limits, PacketBatch, Tally, Unreachables
from netpol.capture.read import read_packets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHARED = Path(__file__).parents[3] / "shared" / "data" / "captures"


class Packet(NamedTuple):
    time: int
    length: int
    source: str
    destination: str
    protocol: int
    source_port: int
    destination_port: int
    flags: int
    sequence: int
    acknowledgement: int
    payload: int

    @property
    def ends(self) -> tuple[str, str, int, int, int]:
        return self.source, self.destination, self.protocol, self.source_port, self.destination_port


class Quote(NamedTuple):
    time: int
    source: str
    destination: str
    protocol: int
    source_port: int
    destination_port: int
    sequence: int


@dataclass
class Result:
    tally: Tally = field(default_factory=Tally)
    batches: list[PacketBatch | Unreachables] = field(default_factory=list)
    by_family: dict[int, list[Packet]] = field(default_factory=lambda: {4: [], 6: []})
    quotes: list[Quote] = field(default_factory=list)

    @property
    def packets(self) -> list[Packet]:
        return self.by_family[4] + self.by_family[6]

    @property
    def only(self) -> Packet:
        assert len(self.packets) == 1, self.tally
        return self.packets[0]


def _addresses(batch: PacketBatch | Unreachables, name: str) -> list[str]:
    values = getattr(batch, name).tolist()
    if batch.family == 4:
        return [str(IPv4Address(value)) for value in values]
    return [str(IPv6Address(high << 64 | low)) for high, low in values]


def collect(paths: Sequence[Path], limits: Limits | None = None, tally: Tally | None = None) -> Result:
    result = Result(tally or Tally())
    for batch in read_packets(paths, result.tally, limits):
        assert len(batch) > 0
        result.batches.append(batch)
        tally = result.tally
        assert tally.packets == tally.decoded + sum(tally.undecoded.values())
        source, destination = _addresses(batch, "source"), _addresses(batch, "destination")
        common = (batch.protocol, batch.source_port, batch.destination_port)
        if isinstance(batch, PacketBatch):
            columns = (*common, batch.flags, batch.sequence, batch.acknowledgement, batch.payload)
            result.by_family[batch.family] += [
                Packet(*row)
                for row in zip(
                    batch.time.tolist(),
                    batch.length.tolist(),
                    source,
                    destination,
                    *(each.tolist() for each in columns),
                    strict=True,
                )
            ]
        else:
            quoted = (*common, batch.sequence)
            result.quotes += [
                Quote(*row)
                for row in zip(
                    batch.time.tolist(), source, destination, *(each.tolist() for each in quoted), strict=True
                )
            ]
    tally = result.tally
    assert tally.packets == tally.decoded + sum(tally.undecoded.values())
    assert tally.decoded == len(result.packets)
    assert all(count > 0 for count in tally.undecoded.values())
    return result


class Frame(NamedTuple):
    data: bytes
    time: int = 1_700_000_000_000_000_000
    wire: int | None = None


def as_pcap(frames: Iterable[Frame | bytes], *, linktype: int = 1, order: str = "<", snaplen: int = 262_144) -> bytes:
    """A nanosecond pcap."""
    out = [struct.pack(order + "IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, snaplen, linktype)]
    for each in frames:
        frame = each if isinstance(each, Frame) else Frame(each)
        wire = len(frame.data) if frame.wire is None else frame.wire
        out.append(struct.pack(order + "IIII", *divmod(frame.time, 1_000_000_000), len(frame.data), wire))
        out.append(frame.data)
    return b"".join(out)


class Read(Protocol):
    def __call__(self, paths: Sequence[Path], limits: Limits | None = None, tally: Tally | None = None) -> Result: ...


class Decode(Protocol):
    def __call__(self, *frames: Frame | bytes, linktype: int = 1, limits: Limits | None = None) -> Result: ...


class Write(Protocol):
    def __call__(
        self, frames: Iterable[Frame | bytes], *, linktype: int = 1, order: str = "<", snaplen: int = 262_144
    ) -> bytes: ...


class MakeFrame(Protocol):
    def __call__(self, data: bytes, time: int = 1_700_000_000_000_000_000, wire: int | None = None) -> Frame: ...


@pytest.fixture(scope="session")
def read() -> Read:
    """Reads captures to plain packets, and checks what must always hold."""
    return collect


@pytest.fixture(scope="session")
def pcap_bytes() -> Write:
    return as_pcap


@pytest.fixture(scope="session")
def frame() -> MakeFrame:
    return Frame


@pytest.fixture(scope="session")
def decode(tmp_path_factory: pytest.TempPathFactory) -> Decode:
    """Decodes frames of one link type."""
    folder = tmp_path_factory.mktemp("decode")

    def run(*frames: Frame | bytes, linktype: int = 1, limits: Limits | None = None) -> Result:
        file = folder / "capture"
        file.write_bytes(as_pcap(frames, linktype=linktype))
        return collect([file], limits)

    return run


@pytest.fixture(scope="session")
def real_captures() -> list[Path]:
    """Small captures of real traffic from other projects."""
    if not _SHARED.is_dir():
        pytest.skip("the third-party captures are not here")
    return sorted(path for path in _SHARED.rglob("*.pcap*") if path.is_file())
