from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from netpol.dataset.spill import Spill, sweep

CHILD = """
import sys
from pathlib import Path
from netpol.dataset.engine import Engine
from netpol.dataset.place import Folder
engine = Engine(Folder(Path()))
engine.read("SELECT 1 AS one", {}, [])
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def folders(place: Path) -> list[Path]:
    return sorted(place.glob("netpol-dataset-*"))


def test_it_is_gone_with_what_is_in_it(tmp_path: Path) -> None:
    spill = Spill.make()
    assert folders(tmp_path) == [spill.path]
    assert spill.path.stat().st_mode & 0o777 == 0o700
    (spill.path / "duckdb_temp_block").write_bytes(b"x")
    spill.close()
    assert folders(tmp_path) == []


def test_only_that_of_a_process_that_was_killed_is_swept_up(tmp_path: Path) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        for _ in range(2)
    ]
    mine = Spill.make()
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
        sweep()
        assert len(folders(tmp_path)) == 3
        children[0].kill()
        children[0].communicate()
        (left,) = (path for path in folders(tmp_path) if _is_free(path))
        (left / "duckdb_temp_block").write_bytes(b"x")
        sweep()
        assert len(folders(tmp_path)) == 2
        assert mine.path.is_dir()
        children[1].communicate()
        assert folders(tmp_path) == [mine.path]
    finally:
        mine.close()
        for child in children:
            child.kill()
            child.wait()


def _is_free(path: Path) -> bool:
    """Whether its process is gone and its lock with it: a lock is of who opened the folder, also in one process."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_what_others_put_there_stays(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (tmp_path / "netpol-dataset-link").symlink_to(precious)
    (tmp_path / "netpol-dataset-file").touch()
    there = ["netpol-dataset-file", "netpol-dataset-link"]
    if os.geteuid() == 0:
        (tmp_path / "netpol-dataset-theirs").mkdir()
        os.chown(tmp_path / "netpol-dataset-theirs", 65534, 65534)
        there.append("netpol-dataset-theirs")
    Spill.make().close()
    assert [path.name for path in folders(tmp_path)] == there
    assert (precious / "file").exists()


def test_a_folder_that_is_swept_up_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = tempfile.mkdtemp
    times: list[str] = []

    def swept(prefix: str) -> str:
        times.append(make(prefix=prefix))
        if len(times) == 1:
            sweep()
        return times[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", swept)
    spill = Spill.make()
    assert folders(tmp_path) == [spill.path] == [Path(times[1])]
    spill.close()


def test_without_locks_nothing_is_swept_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_descriptor: int, _what: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "no locks here")

    monkeypatch.setattr(fcntl, "flock", unknown)
    spill = Spill.make()
    other = Spill.make()
    assert folders(tmp_path) == sorted([spill.path, other.path])
    for each in (spill, other):
        each.close()
    assert folders(tmp_path) == []
