"""A disk that is really full: a small file system in memory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.agent.hub import processes
from tests.agent.hub.windows import body

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 6 << 20


@pytest.fixture(name="disk")
def _disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "netpol-hub-test", str(path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_nothing_is_half_written_and_all_goes_on_when_there_is_room(disk: Path) -> None:
    windows = [body(number=number, connections=3000) for number in range(8)]
    with processes.hub(disk / "data", "--keep-free", "64KiB", "--batch-seconds", "3600") as hub:
        assert hub.send(*windows[0]).json == {"stored": True}
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            file.write(bytes(room - len(windows[1][1]) - (70 << 10)))
        # There is room for none after this one: by what is kept free.
        answers = [hub.send(*each) for each in windows[1:]]
        assert {answer.status for answer in answers} == {200, 507}
        assert all("retry-after" in answer.headers for answer in answers if answer.status == 507)
        assert hub.get("/readyz").status == 503
        assert hub.get("/healthz").status == 200
        acknowledged = {windows[0][0]} | {
            identity for (identity, _), answer in zip(windows[1:], answers, strict=True) if answer.status == 200
        }
        assert {path.name for path in (disk / "data" / "inbox").iterdir()} == {
            f"{identity}.window" for identity in acknowledged
        }
        ballast.unlink()
        assert hub.get("/readyz").status == 200
        assert [hub.send(*each).json["stored"] for each in windows] == [
            identity not in acknowledged for identity, _ in windows
        ]


def test_an_error_of_the_disk_itself(disk: Path) -> None:
    with processes.hub(disk / "data", "--keep-free", "0", "--batch-seconds", "3600") as hub:
        assert hub.send(*body()).json == {"stored": True}
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            # One page is left: enough to begin, for nothing more.
            file.write(bytes((os.statvfs(disk).f_bavail - 1) * os.statvfs(disk).f_frsize))
            answer = hub.send(*body(number=1, connections=3000))
            assert answer.status == 507
            assert hub.get("/readyz").status == 503
            assert len([*(disk / "data" / "inbox").iterdir()]) == 1
        ballast.unlink()
        assert hub.get("/readyz").status == 200
        assert hub.send(*body(number=1, connections=3000)).json == {"stored": True}
        assert hub.said("windows could not be stored")
