"""How long `netpol list` and `netpol diff` take, and how much memory, on made-up clusters.

Run by hand:

    python -m tests.benchmarks.engine [PODS,WORKLOADS,POLICIES ...]

Each figure is of one child process from its start to its end, with start-up, reading of the cluster, and writing of the
result in JSON: CPU seconds (user and system; one thread does it all) and the highest resident memory, each the median
of runs in turns. Behind each stands its share of what is wanted: 3 s up to 10,000 pods, 30 s up to 100,000, and always
500 MiB.

The cluster is read from JSON, and to compare from YAML, both as kubectl prints a list. The pods are as short as a
snapshot has them, about 1 KB each; what kubectl prints of a pod of a real cluster is several times that. Where
`netpol-analyzer` (github.com/np-guard/netpol-analyzer) is on PATH, it is measured in the same turns on the sizes that
it is given time for, and its figures are followed by how many times those of netpol they are.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.engine_cluster import YAML_PODS, Size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SIZES = (
    Size(pods=1_000, workloads=50, policies=100),
    Size(pods=10_000, workloads=500, policies=1_000),
    Size(pods=100_000, workloads=2_500, policies=5_000),
)
SLOW_PODS = YAML_PODS
"""The most pods that the analyzer is asked about, and that are read from YAML."""
ANALYZER_SECONDS = 600
WANTED_SECONDS = {10_000: 3, 100_000: 30}
"""For clusters of at most so many pods."""
WANTED_MIB = 500
ROUNDS = {10_000: 5, 100_000: 3}
"""Runs of each command, for clusters of at most so many pods."""
ROOT = Path(__file__).parents[2]


class Run(NamedTuple):
    """What a process took; `seconds` is CPU time."""

    seconds: float
    mib: float
    printed_mib: float


def measure(command: list[str], limit: float) -> Run | str:
    """Runs a command; a text says why there are no figures."""
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL, cwd=ROOT)
        deadline = time.monotonic() + limit
        while True:
            done, status, usage = os.wait4(child.pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() > deadline:
                child.kill()
                os.wait4(child.pid, 0)
                child.returncode = -9
                return f"more than {limit:.0f} s"
            time.sleep(0.02)
        child.returncode = os.waitstatus_to_exitcode(status)
        size = output.seek(0, os.SEEK_END)
    if child.returncode not in {0, 1}:
        return f"failed with {child.returncode}"
    return Run(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, size / 2**20)


def medians(commands: dict[str, list[str]], rounds: int) -> dict[str, Run | str]:
    """Every command in turns: what else the machine does meets all of them. One that fails is not tried again."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    failed: dict[str, str] = {}
    for _ in range(rounds):
        for name, command in commands.items():
            found = failed.get(name) or measure(command, ANALYZER_SECONDS)
            if isinstance(found, str):
                failed[name] = found
            else:
                runs[name].append(found)
    return {
        name: failed.get(name) or Run(*(statistics.median(figures) for figures in zip(*found, strict=True)))
        for name, found in runs.items()
    }


def commands_of(size: Size, folder: Path) -> dict[str, list[str]]:
    """What is measured, by the name that it is printed under."""
    netpol = [sys.executable, "-m", "netpol"]
    old, new, read = f"{folder}/old", f"{folder}/new", ["-o", "json", "--cluster"]
    commands = {
        "netpol list": [*netpol, "list", old, *read, f"{folder}/cluster"],
        "netpol diff": [*netpol, "diff", old, new, *read, f"{folder}/cluster"],
    }
    if size.pods > SLOW_PODS:
        return commands
    commands["netpol list, YAML"] = [*netpol, "list", old, *read, f"{folder}/yaml"]
    commands["netpol diff, YAML"] = [*netpol, "diff", old, new, *read, f"{folder}/yaml"]
    analyzer = shutil.which("netpol-analyzer")
    if analyzer:
        for side in ("old", "new"):
            shutil.copytree(folder / "cluster", folder / "both" / side)
            shutil.copy(folder / side / "policies.json", folder / "both" / side)
        old, new = (f"{folder}/both/{side}" for side in ("old", "new"))
        commands["analyzer list"] = [analyzer, "list", "-q", "-o", "json", "--dirpath", old]
        commands["analyzer diff"] = [analyzer, "diff", "-q", "-o", "csv", "--dir1", old, "--dir2", new]
    return commands


def report(size: Size) -> Iterator[str]:
    """The lines of one size."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        # A child's peak memory starts at what its parent has: the clusters are made in a process of their own.
        made = [str(count) for count in (size.pods, size.workloads, size.policies)]
        subprocess.run([sys.executable, "-m", "tests.benchmarks.engine_cluster", *made, place], check=True, cwd=ROOT)
        rounds = _of_size(ROUNDS, size)
        given = sum(path.stat().st_size for path in folder.glob("cluster/*")) / 2**20
        yield (
            f"{size.pods:,} pods, {size.workloads:,} workloads, {size.policies:,} policies; {given:.0f} MiB of JSON; "
            f"medians of {rounds}"
        )
        found = medians(commands_of(size, folder), rounds)
        for name, run in found.items():
            ours = found.get(name.replace("analyzer", "netpol"))
            if isinstance(run, str) or isinstance(ours, str):
                yield f"  {name:18} {run}"
            elif ours is None or ours is run:
                wanted = _of_size(WANTED_SECONDS, size)
                yield _line(name, run, f"{run.seconds / wanted:.0%} of {wanted} s", f"{run.mib / WANTED_MIB:.0%}")
            else:
                yield _line(name, run, f"{run.seconds / ours.seconds:.1f} times", f"{run.mib / ours.mib:.1f} times")


def _line(name: str, run: Run, seconds: str, memory: str) -> str:
    return (
        f"  {name:18} {run.seconds:7.2f} s ({seconds:>10}) {run.mib:7.0f} MiB ({memory:>9}) "
        f"{run.printed_mib:6.1f} MiB printed"
    )


def _of_size(values: dict[int, int], size: Size) -> int:
    return next((value for pods, value in values.items() if size.pods <= pods), values[max(values)])


def main(sizes: Iterable[Size]) -> None:
    """Prints a table as it grows."""
    for size in sizes:
        for line in report(size):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    counts = (
        dict(zip(("pods", "workloads", "policies"), map(int, word.split(",")), strict=True)) for word in sys.argv[1:]
    )
    main([Size(**count) for count in counts] or SIZES)
