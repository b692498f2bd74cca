"""What a person sees at a terminal, and that no pipe ever gets it: a real pseudo-terminal is the judge."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from netpol.cli.progress import how_far

ROOT = Path(__file__).parents[2]
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    packets: int
    consumed: int = 0
    size: int | None = None


@pytest.mark.parametrize(
    ("read", "elapsed", "says"),
    [
        (Read(packets=10, size=100, consumed=50), 0.2, "10 packets read"),
        (Read(packets=3_000_000, size=100, consumed=25), 2.0, "3,000,000 packets read, 1,500,000 a second, 6 s left"),
        (Read(packets=1200, size=100, consumed=1), 2.0, "1,200 packets read, 600 a second, 3 min 18 s left"),
        (Read(packets=1200, size=10_000, consumed=1), 2.0, "1,200 packets read, 600 a second, 5 h 33 min left"),
        (Read(packets=1200), 2.0, "1,200 packets read, 600 a second"),
        (Read(packets=0, size=100), 2.0, "0 packets read, 0 a second"),
        (Read(packets=5, size=100, consumed=100), 5.0, "5 packets read, 1 a second, 0 s left"),
    ],
)
def test_progress_tells_the_speed_and_the_time_left_where_they_are_known(read: Read, elapsed: float, says: str) -> None:
    assert how_far(read, elapsed) == says


def at_terminal(*words: str, environment: dict[str, str] | None = None) -> tuple[str, str]:
    """Runs netpol with stderr at a terminal of 100 columns: stdout and what the terminal got."""
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-m", "netpol", *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", **(environment or {})},
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux's way to say that the last writer left
            break
        if not part:
            break
        seen += part
    os.close(ours)
    out = program.communicate()[0]
    assert program.returncode == 0
    return out, seen.decode().replace("\r\n", "\n")


LEARN = ("learn", "captures/shop", "--cluster", "samples/shop/cluster.yaml", "--existing", "samples/shop/existing.yaml")


def test_learn_closes_with_a_table_in_colour_and_breaks_no_word() -> None:
    out, terminal = at_terminal(*LEARN)
    assert "\x1b[" in terminal
    shown = ESCAPE.sub("", terminal)
    assert "│ tightness" in shown
    assert all(len(line) <= 100 for line in shown.splitlines() if "│" in line)
    piped = subprocess.run(
        [sys.executable, "-m", "netpol", *LEARN], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert piped.stdout == out
    assert "\x1b" not in piped.stderr
    words = set(re.findall(r"\w+", piped.stderr))
    missing = words - set(re.findall(r"\w+", shown))
    assert not missing


def test_no_color_is_obeyed_and_the_table_stays() -> None:
    _, terminal = at_terminal(*LEARN, environment={"NO_COLOR": "1"})
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", terminal)
    assert "tightness" in terminal
