"""What reading names costs: captures of DNS answers and of anything, with and without names, in turns.

    python tests/benchmarks/names.py --answers 1000000 --runs 5

All runs read the packets and assemble the flows, as every command that reads captures does; some also keep the names.
The plain capture is that of `compare.py`. `--distinct` is the share of the answers whose name nobody had asked for
before; `--spelled` makes servers write every name out, as CoreDNS does where the answer is short enough. Every answer
goes to another port, so that each is a flow of its own, and hardly any client asks for a name twice. The figures are
medians of user and system time, start-up included.
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
    parser.add_argument("--answers", type=int, default=1_000_000, help="how many")
    parser.add_argument("--runs", type=int, default=5, help="of each kind")
    parser.add_argument("--distinct", type=float, default=0.1, help="share of the answers with a new name")
    parser.add_argument("--spelled", action="store_true", help="names are not compressed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="netpol-names-") as folder:
        answers, anything = Path(folder) / "answers.pcap", Path(folder) / "plain.pcap"
        with answers.open("wb") as file:
            file.writelines(_capture(options.answers, options.distinct, spelled=options.spelled))
        generator = [sys.executable, str(_ROOT / "tests/benchmarks/generate.py"), str(anything)]
        subprocess.run([*generator, "--packets", str(options.answers)], check=True, stdout=subprocess.DEVNULL)
        programs = [
            _Program("plain capture, flows", "flows", anything),
            _Program("plain capture, flows and names", "names", anything),
            _Program("DNS answers, flows", "flows", answers),
            _Program("DNS answers, flows and names", "names", answers),
        ]
        for _ in range(options.runs):
            for program in programs:
                program.run()
    for each in programs:
        sys.stdout.write(
            f"{each.name:<32} {each.seconds:6.2f} s CPU ({min(each.cpu):.2f} to {max(each.cpu):.2f}), "
            f"{1e6 * each.seconds / options.answers:5.2f} us a packet, {each.peak / _MEBIBYTE:.0f} MiB\n"
        )
    plain, _, flows, names = (each.seconds for each in programs)
    met = names <= 3 * flows
    word = "met" if met else "MISSED"
    sys.stdout.write(f"speed of answers with names / without, at least 0.33: {flows / names:.2f}  {word}\n")
    sys.stdout.write(f"what names add to an answer / a packet of the plain capture: {(names - flows) / plain:.2f}\n")
    return not met


@dataclass
class _Program:
    """One kind of run on one capture, and what its runs cost."""

    name: str
    kind: str
    capture: Path
    cpu: list[float] = field(default_factory=list)
    peak: int = 0

    def run(self) -> None:
        """Once more."""
        seconds, rss = _run(self.kind, self.capture)
        self.cpu.append(seconds)
        self.peak = max(self.peak, rss)

    @property
    def seconds(self) -> float:
        """Median CPU time."""
        return median(self.cpu)


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
