"""How long `netpol list` and `netpol diff` take, and how much memory, on made-up clusters.

Run by hand:

    python -m tests.benchmarks.engine [PODS,WORKLOADS,POLICIES ...]

Each figure is of one child process from its start to its end: CPU seconds (user and system) and the highest resident
memory, with start-up, reading of the JSON, and writing of the result in JSON. The pods are as short as a snapshot has
them, about 1 KB each; what kubectl prints of a pod of a real cluster is several times that, and YAML takes many times
longer to read. Where `netpol-analyzer` (github.com/np-guard/netpol-analyzer) is on PATH, it is measured beside it on
the sizes that it is given time for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.engine_cluster import Size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SIZES = (
    Size(pods=1_000, workloads=50, policies=100),
    Size(pods=10_000, workloads=500, policies=1_000),
    Size(pods=100_000, workloads=2_500, policies=5_000),
)
ANALYZER_PODS = 10_000
"""The most pods that the analyzer is asked about."""
ANALYZER_SECONDS = 600
ROOT = Path(__file__).parents[2]


def measure(command: list[str], limit: float | None = None) -> str:
    """CPU seconds, peak MiB and bytes printed of a command, as a table's cells."""
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL, cwd=ROOT)
        deadline = time.monotonic() + limit if limit else None
        while True:
            done, status, usage = os.wait4(child.pid, os.WNOHANG if deadline else 0)
            if done:
                break
            if deadline and time.monotonic() > deadline:
                child.kill()
                os.wait4(child.pid, 0)
                child.returncode = -9
                return f"more than {limit:.0f} s"
            time.sleep(0.05)
        child.returncode = os.waitstatus_to_exitcode(status)
        size = output.seek(0, os.SEEK_END)
    if child.returncode not in {0, 1}:
        return f"failed with {child.returncode}"
    return f"{usage.ru_utime + usage.ru_stime:7.2f} s {usage.ru_maxrss / 1024:6.0f} MiB {size / 2**20:7.1f} MiB out"


def report(size: Size) -> Iterator[str]:
    """The lines of one size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # A child's peak memory starts at what its parent has: the clusters are made in a process of their own.
        made = [str(count) for count in (size.pods, size.workloads, size.policies)]
        subprocess.run([sys.executable, "-m", "tests.benchmarks.engine_cluster", *made, name], check=True, cwd=ROOT)
        given = sum(path.stat().st_size for path in folder.glob("cluster/*")) / 2**20
        yield f"{size.pods:,} pods, {size.workloads:,} workloads, {size.policies:,} policies; {given:.0f} MiB of JSON"
        netpol = [sys.executable, "-m", "netpol"]
        cluster = ["--cluster", f"{folder}/cluster", "-o", "json"]
        yield f"  netpol list       {measure([*netpol, 'list', f'{folder}/old', *cluster])}"
        yield f"  netpol diff       {measure([*netpol, 'diff', f'{folder}/old', f'{folder}/new', *cluster])}"
        analyzer = shutil.which("netpol-analyzer")
        if analyzer and size.pods <= ANALYZER_PODS:
            for side in ("old", "new"):
                shutil.copytree(folder / "cluster", folder / "both" / side)
                shutil.copy(folder / side / "policies.json", folder / "both" / side)
            old, new = (f"{folder}/both/{side}" for side in ("old", "new"))
            asked = [analyzer, "list", "-q", "-o", "json", "--dirpath", old]
            yield f"  netpol-analyzer   {measure(asked, ANALYZER_SECONDS)}"
            asked = [analyzer, "diff", "-q", "-o", "csv", "--dir1", old, "--dir2", new]
            yield f"    its diff        {measure(asked, ANALYZER_SECONDS)}"


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
