"""What reading names costs: the speed with names as a share of plain flow speed, on the same captures, in turns.

    python tests/benchmarks/names.py --answers 1000000 --runs 5

Plain flow speed is that at which `netpol flows` reads packets and assembles flows. The other run of each pair keeps the
names too. Neither writes anything, which would take as long in both and hide what names cost. The captures are DNS
answers of a few thousand names, DNS answers of which each has a name that nobody asked for before, and the traffic of
`compare.py`, of which hardly a packet carries a name. Every answer goes to another port, so that each is a flow of its
own, and hardly any client asks for a name twice. `--spelled` makes servers write every name out, as CoreDNS does where
the answer is short enough. The figures are medians of user and system time, start-up included, and the most memory that
any run held. Of answers at least a third of plain flow speed is asked for.
"""

from __future__ import annotations

import argparse
import os
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT: Final = Path(__file__).resolve().parents[2]
_MEBIBYTE: Final = 1 << 20
_START: Final = 1_700_000_000_000_000_000
_GAP: Final = 250_000
"""Nanoseconds between answers: 4,000 a second."""
_REPEATED_NAMES: Final = 4000
_CAPTURES: Final = {"answers of 4,000 names": 0.0, "answers, every name new": 1.0, "traffic of all kinds": None}
"""Title to the share of the answers that have a new name; None: the traffic that `generate.py` makes."""
_LEAST_SHARE: Final = 1 / 3
_CLIENTS: Final = 2000

_CHILD: Final = """
import sys
from pathlib import Path
from netpol.capture.packets import Tally
from netpol.capture.read import read_packets
from netpol.flows.assemble import assemble
names = None
if sys.argv[1] == "names":
    from netpol.names.table import Names
    names = Names()
table = assemble(read_packets([Path(sys.argv[2])], Tally(), names=names))
print(len(table), dict(names.tally) if names else "")
"""


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--answers", type=int, default=1_000_000, help="packets of each capture")
    parser.add_argument("--runs", type=int, default=5, help="of each kind on each capture")
    parser.add_argument("--spelled", action="store_true", help="names are not compressed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="netpol-names-") as folder:
        pairs = [
            _Pair(title, Path(folder) / f"{number}.pcap", asked=distinct is not None)
            for number, (title, distinct) in enumerate(_CAPTURES.items())
        ]
        for pair, distinct in zip(pairs, _CAPTURES.values(), strict=True):
            _write(pair.capture, options.answers, distinct, spelled=options.spelled)
        for _ in range(options.runs):
            for pair in pairs:
                pair.run()
    for pair in pairs:
        sys.stdout.write(pair.told(options.answers))
    return int(any(pair.missed for pair in pairs))


@dataclass
class _Runs:
    """What the runs of one kind on one capture cost."""

    cpu: list[float] = field(default_factory=list)
    peak: int = 0

    def __str__(self) -> str:
        return f"{median(self.cpu):.2f} s ({min(self.cpu):.2f} to {max(self.cpu):.2f}), {self.peak / _MEBIBYTE:.0f} MiB"


@dataclass
class _Pair:
    """Runs without and with names on one capture.

    Attributes:
        asked: The share of plain flow speed is asked for.
    """

    title: str
    capture: Path
    asked: bool
    plain: _Runs = field(default_factory=_Runs)
    names: _Runs = field(default_factory=_Runs)

    def run(self) -> None:
        """Once more, in turns."""
        for kind, runs in (("flows", self.plain), ("names", self.names)):
            seconds, rss = _run(kind, self.capture)
            runs.cpu.append(seconds)
            runs.peak = max(runs.peak, rss)

    @property
    def share(self) -> float:
        """Speed with names as a share of plain flow speed."""
        return median(self.plain.cpu) / median(self.names.cpu)

    @property
    def missed(self) -> bool:
        """Less than what is asked for."""
        return self.asked and self.share < _LEAST_SHARE

    def told(self, packets: int) -> str:
        """A line for a person."""
        added = 1e6 * (median(self.names.cpu) - median(self.plain.cpu)) / packets
        word = "" if not self.asked else f", at least {_LEAST_SHARE:.2f}: {'MISSED' if self.missed else 'met'}"
        return (
            f"{self.title:<26} flows {self.plain}; with names {self.names}; "
            f"{added:.2f} us more a packet; share {self.share:.2f}{word}\n"
        )


def _write(path: Path, packets: int, distinct: float | None, *, spelled: bool) -> None:
    """Writes one of _CAPTURES."""
    if distinct is None:
        generator = [sys.executable, str(_ROOT / "tests/benchmarks/generate.py"), str(path)]
        subprocess.run([*generator, "--packets", str(packets)], check=True, stdout=subprocess.DEVNULL)
        return
    with path.open("wb") as file:
        file.writelines(_capture(packets, distinct, spelled=spelled))


def _run(kind: str, capture: Path) -> tuple[float, int]:
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, kind, str(capture)],
        env=os.environ | {"PYTHONPATH": str(_ROOT)},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"the run with {kind} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def _capture(answers: int, distinct: float, *, spelled: bool) -> Iterator[bytes]:
    """A nanosecond pcap of Ethernet frames with one answer each."""
    yield struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 1)
    fresh = 0
    for number in range(answers):
        mixed = number * 2_654_435_761 % (1 << 32)
        if mixed / (1 << 32) < distinct:
            which, fresh = _REPEATED_NAMES + fresh, fresh + 1
        else:
            which = mixed * 31 % _REPEATED_NAMES
        message = _answer(which, number & 0xFFFF, spelled=spelled)
        frame = _frame(message, 0x0AF40000 + mixed % _CLIENTS, 32768 + number * 7 % 28000, number)
        time = _START + number * _GAP
        yield struct.pack("<IIII", *divmod(time, 1_000_000_000), len(frame), len(frame)) + frame


def _frame(message: bytes, client: int, port: int, number: int) -> bytes:
    udp = struct.pack(">HHHH", 53, port, 8 + len(message), 0)
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 28 + len(message), number & 0xFFFF, 0, 64, 17, 0, 0x0A60000A, client)
    return bytes(12) + b"\x08\x00" + ip + udp + message


def _answer(which: int, identifier: int, *, spelled: bool) -> bytes:
    """A, or AAAA for every fifth name; a third of the names are aliases; every tenth does not exist."""
    name = _wire(f"host-{which:06d}.{'cdn' if which % 3 else 'www'}.region-{which % 17}.partner.example")
    kind = 28 if which % 5 == 0 else 1
    question = name + struct.pack(">HH", kind, 1)
    head = struct.pack(">HH", identifier, 0x8183 if which % 10 == 9 else 0x8180)
    if which % 10 == 9:
        return head + struct.pack(">HHHH", 1, 0, 0, 0) + question
    records = b""
    owner = name if spelled else b"\xc0\x0c"
    count = 1 + which % 2
    if which % 3 == 0:
        alias = _wire(f"edge-{which % 977}.cdn.provider.example")
        records += owner + struct.pack(">HHIH", 5, 1, 300, len(alias)) + alias
        place = 12 + len(question) + len(owner) + 10
        owner = alias if spelled else struct.pack(">H", 0xC000 | place)
        count += 1
    for each in range(1 + which % 2):
        address = struct.pack(">I", 0xCB007100 + (which * 3 + each) % 50_000)
        data = b"\x20\x01\x0d\xb8" + bytes(8) + address if kind == 28 else address
        records += owner + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
    return head + struct.pack(">HHHH", 1, count, 0, 0) + question + records


def _wire(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


if __name__ == "__main__":
    sys.exit(main())
