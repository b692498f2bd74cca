"""`netpol flows` beside tcpdump, tshark and capinfos on one generated capture: CPU time, memory, ratios.

    python tests/benchmarks/compare.py --packets 2000000 --runs 5

The programs take turns, so that a machine that slows down slows all of them down; the figures are medians of user and
system time together, start-up included. This process imports nothing large, because on Linux a child's peak memory
starts at what its parent had when it was forked.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it runs as a script too

from tests.benchmarks.truth import differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MEBIBYTE: Final = 1 << 20
_WIDTH: Final = 34


@dataclass(slots=True, kw_only=True)
class Program:
    """One command and what its runs cost.

    Attributes:
        name: What the table calls it.
        command: The command line.
        rounds: In how many rounds it takes part.
        cpu: User and system seconds of each run.
        rss: Peak resident bytes of each run.
        problem: Why there are no figures, if there are none.
    """

    name: str
    command: list[str]
    rounds: int
    cpu: list[float] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)
    problem: str = ""

    def run(self) -> None:
        """Run it once more, unless it has failed before."""
        if self.problem:
            return
        if shutil.which(self.command[0]) is None:
            self.problem = f"{self.command[0]} is not installed"
            return
        with tempfile.TemporaryFile() as complaint:
            child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=complaint
            )
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                complaint.seek(0)
                last = complaint.read().decode(errors="replace").strip().splitlines()[-1:]
                self.problem = f"exit code {child.returncode}: {''.join(last)}"
                return
        self.cpu.append(usage.ru_utime + usage.ru_stime)
        self.rss.append(usage.ru_maxrss * 1024)

    @property
    def seconds(self) -> float | None:
        """Median CPU time."""
        return median(self.cpu) if self.cpu else None

    @property
    def peak(self) -> int | None:
        """Highest peak memory of all runs."""
        return max(self.rss, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a figure has to be.

    Attributes:
        name: What is measured and the bound.
        value: The figure, None when it could not be measured.
        bound: The figure's bound.
        least: Whether the bound is the least value instead of the greatest.
    """

    name: str
    value: float | None
    bound: float
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure is there and within the bound."""
        return self.value is not None and (self.value >= self.bound if self.least else self.value <= self.bound)


def main() -> int:
    """Run from the command line."""
    options = _options().parse_args()
    holder = nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory(prefix="netpol-benchmark-")
    with holder as folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        capture = _generate(Path(folder), options.packets, options.seed)
        quarter = _generate(Path(folder), max(options.packets // 4, 1), options.seed)
        netpol = options.netpol.split() if options.netpol else _installed()
        programs = _measure(capture, quarter, netpol, runs=options.runs, tshark_runs=options.tshark_runs)
        wrong = _check(netpol, capture)
    targets = _targets(programs)
    sys.stdout.write("\n".join([*_report(programs, options.packets), *_verdicts(targets), *wrong]) + "\n")
    if options.json:
        result = {
            "packets": options.packets,
            "programs": {name: asdict(program) for name, program in programs.items()},
            "targets": [asdict(target) | {"met": target.met} for target in targets],
            "wrong": wrong,
        }
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    missed = options.require == "targets" and not all(target.met for target in targets)
    return 1 if missed or (options.require and wrong) else 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Compare `netpol flows` with tcpdump and tshark on a generated capture."
    )
    parser.add_argument("--packets", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tshark-runs", type=int, default=1, help="rounds in which tshark takes part; it is slow")
    parser.add_argument("--netpol", metavar="COMMAND", help="how to run netpol (the one beside this Python)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the captures there instead of removing them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    parser.add_argument(
        "--require",
        nargs="?",
        choices=["answer", "targets"],
        const="targets",
        help="exit 1 when netpol's answer is wrong; `targets` (meant when nothing is said): or a target is missed",
    )
    return parser


def _installed() -> list[str]:
    script = Path(sys.executable).with_name("netpol")
    return [str(script)] if script.exists() else [sys.executable, "-m", "netpol"]


def _generate(folder: Path, packets: int, seed: int) -> Path:
    """The capture, made in a process of its own so that its memory is not ours."""
    capture = folder / f"{packets}-packets-seed-{seed}.pcap"
    if not capture.exists():
        sys.stderr.write(f"generating {packets:,} packets\n")
        generator = str(Path(__file__).with_name("generate.py"))
        command = [sys.executable, generator, str(capture), "--packets", str(packets), "--seed", str(seed)]
        subprocess.run(command, check=True)
    return capture


def _measure(capture: Path, quarter: Path, netpol: Sequence[str], *, runs: int, tshark_runs: int) -> dict[str, Program]:
    """All programs, having taken turns."""
    flows = [*netpol, "flows"]
    read = ["-r", str(capture)]
    programs = {
        "netpol": Program(name="netpol flows -o json", command=[*flows, str(capture), "-o", "json"], rounds=runs),
        "tcpdump": Program(name="tcpdump -w /dev/null", command=["tcpdump", *read, "-w", "/dev/null"], rounds=runs),
        "quarter": Program(
            name="netpol, a quarter of the packets", command=[*flows, str(quarter), "-o", "json"], rounds=runs
        ),
        "help": Program(name="netpol --help", command=[*netpol, "--help"], rounds=runs),
        "print": Program(name="tcpdump -nn, printing", command=["tcpdump", "-nn", *read], rounds=1),
        "capinfos": Program(name="capinfos", command=["capinfos", str(capture)], rounds=1),
        "tshark": Program(
            name="tshark -q -z conv,tcp", command=["tshark", "-q", "-z", "conv,tcp", *read], rounds=tshark_runs
        ),
    }
    for file in (capture, quarter):  # from now on it is in the page cache
        with file.open("rb") as stream:
            while stream.read(_MEBIBYTE):
                pass
    for turn in range(max(program.rounds for program in programs.values())):
        for program in programs.values():
            if turn < program.rounds:
                sys.stderr.write(f"round {turn + 1}: {program.name}\n")
                program.run()
    return programs


def _check(netpol: Sequence[str], capture: Path) -> list[str]:
    """What is wrong with netpol's answer, the first few lines of it."""
    truth = json.loads(capture.with_name(capture.name + ".truth.json").read_text(encoding="utf-8"))
    command = [*netpol, "flows", str(capture), "-o", "json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        return ["", f"netpol flows ends with exit code {done.returncode}: {done.stderr.strip()[-300:]}"]
    wrong = differences(truth, done.stdout.splitlines())
    return ["", f"{len(wrong)} of {len(truth['rows'])} rows are not the truth:", *wrong[:5]] if wrong else []


def _targets(programs: dict[str, Program]) -> list[Target]:
    netpol, tcpdump, tshark = (programs[name].seconds for name in ("netpol", "tcpdump", "tshark"))
    peak = programs["netpol"].peak
    return [
        Target(name="tcpdump / netpol, CPU, at least 0.35", value=_ratio(tcpdump, netpol), bound=0.35, least=True),
        Target(name="tshark / netpol, CPU, at least 20", value=_ratio(tshark, netpol), bound=20.0, least=True),
        Target(name="netpol, MiB, at most 300", value=_ratio(peak, _MEBIBYTE), bound=300.0),
        Target(name="netpol --help, s of CPU, at most 0.5", value=programs["help"].seconds, bound=0.5),
    ]


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def _report(programs: dict[str, Program], packets: int) -> Iterator[str]:
    yield f"{packets:,} packets; CPU seconds, medians"
    columns = f"{'runs':>4} {'CPU s':>8} {'least':>8} {'most':>8} {'MiB':>7} {'x tcpdump':>10} {'x netpol':>9}"
    yield f"{'':<{_WIDTH}} {columns}"
    tcpdump, netpol = programs["tcpdump"].seconds, programs["netpol"].seconds
    for program in programs.values():
        if program.problem or program.seconds is None:
            yield f"{program.name:<{_WIDTH}} {program.problem or 'not run'}"
            continue
        relative = [_text(_ratio(program.seconds, other)) for other in (tcpdump, netpol)]
        yield (
            f"{program.name:<{_WIDTH}} {len(program.cpu):>4} {program.seconds:>8.2f} {min(program.cpu):>8.2f} "
            f"{max(program.cpu):>8.2f} {(program.peak or 0) / _MEBIBYTE:>7.0f} {relative[0]:>10} {relative[1]:>9}"
        )
    growth = _ratio(programs["netpol"].peak, programs["quarter"].peak)
    yield f"memory for four times the packets at the same rate: {_text(growth)} times"


def _text(value: Any) -> str:
    return "-" if value is None else f"{value:.2f}"


def _verdicts(targets: Sequence[Target]) -> Iterator[str]:
    yield ""
    for target in targets:
        word = "not measured" if target.value is None else "met" if target.met else "MISSED"
        yield f"{target.name:<{_WIDTH + 6}} {_text(target.value):>8}  {word}"


if __name__ == "__main__":
    sys.exit(main())
