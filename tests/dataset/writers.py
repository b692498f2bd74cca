"""Processes that add windows to a dataset."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from netpol.dataset.window_codec import write_window

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.dataset.window import Window

ROOT = Path(__file__).parents[2]


def spooled(folder: Path, windows: Iterable[Window]) -> Path:
    """A new folder in which the windows are files."""
    folder.mkdir()
    for window in windows:
        (folder / f"{window.identity}.window").write_bytes(write_window(window))
    return folder


def writer(where: Path | str, spool: Path, begin: int, end: int, *work: str) -> subprocess.Popen[str]:
    """`tests/dataset/writer.py` at work, for whoever reads what it says."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tests/dataset/writer.py"), str(where), str(spool), str(begin), str(end), *work],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
