"""Agents as processes: what they need, how they end, and what is left when they are killed."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.agent import live_traffic as traffic
from tests.agent.live_world import (
    CLIENT,
    END_SECONDS,
    SERVER,
    World,
    await_line,
    needs_world,
    run,
    served_world,
    windows_in,
)

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

pytestmark = [pytest.mark.namespaces, needs_world]

_NET_RAW = 1 << 13
_SETPRIV = ("setpriv", "--no-new-privs", "--bounding-set=-all,+net_raw", "--inh-caps=-all")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    yield from served_world()


def agent_words(spool: Path, *options: str) -> list[str]:
    words = [sys.executable, "-m", "netpol", "agent", "--spool", str(spool), "--node-name", "node-a", "--buffer", "2Mi"]
    return [*words, *options]


def start(world: World, spool: Path, *options: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    process = world.start("node", *before, *agent_words(spool, *options))
    await_line(process, "records on")
    return process


def end(process: subprocess.Popen[str], with_signal: int = signal.SIGTERM) -> str:
    process.send_signal(with_signal)
    _, errors = process.communicate(timeout=END_SECONDS)
    return errors


def talk(world: World) -> None:
    world.python("client", traffic.ONE, SERVER)


def test_net_raw_is_all_it_needs(world: World, tmp_path: Path) -> None:
    """Of root's capabilities; and no folder but its spool that it may write to."""
    here = tmp_path / "read-only"
    here.mkdir(mode=0o555)
    process = start(world, tmp_path / "spool", before=("env", "-C", str(here), *_SETPRIV))
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")] == [_NET_RAW] * 3
    assert status["NoNewPrivs"] == "1"
    talk(world)
    errors = end(process)
    assert process.returncode == 0, errors
    assert sum(len(window.records) for window in windows_in(tmp_path / "spool")) > 0


def test_without_it_the_agent_says_what_is_missing(world: World, tmp_path: Path) -> None:
    words = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", *agent_words(tmp_path / "spool"))
    process = world.start("node", *words)
    _, errors = process.communicate(timeout=END_SECONDS)
    assert process.returncode == 2
    assert "NET_RAW" in errors
    assert "Traceback" not in errors


def test_only_interfaces_that_match_are_recorded_also_when_they_appear_later(world: World, tmp_path: Path) -> None:
    process = start(world, tmp_path / "spool", "--interfaces", "pod*", "--sample", "1")
    node, client = world.name("node"), world.name("client")
    run(*f"ip link add pod7 netns {node} type veth peer late netns {client}".split())
    try:
        for name, device, host in (("node", "pod7", 1), ("client", "late", 2)):
            world.ip(name, "addr", "add", f"10.77.7.{host}/24", "dev", device)
            world.ip(name, "link", "set", device, "up")
        world.ip("client", "route", "add", f"{SERVER}/32", "via", "10.77.7.1", "src", "10.77.7.2")
        talk(world)  # over the new one
        world.ip("client", "route", "del", f"{SERVER}/32")
        talk(world)  # over the old ones
    finally:
        world.ip("node", "link", "del", "pod7")
    errors = end(process)
    found = [window.records for window in windows_in(tmp_path / "spool")]
    ends = {int(address) for records in found for name in ("low", "high") for address in records[name].tolist()}
    assert 0x0A4D0702 in ends, errors  # 10.77.7.2
    assert 0x0A4D0102 not in ends, CLIENT


def test_one_folder_is_one_agents(world: World, tmp_path: Path) -> None:
    """Two on one node would see everything twice."""
    process = start(world, tmp_path / "spool")
    other = world.start("node", *agent_words(tmp_path / "spool"))
    _, errors = other.communicate(timeout=END_SECONDS)
    assert other.returncode == 2
    assert "another agent" in errors
    end(process)
    end(start(world, tmp_path / "spool"))


def test_signals_in_quick_succession_stop_it_all_the_same(world: World, tmp_path: Path) -> None:
    """A handler runs wherever the main thread is: nothing there may wait for what that thread holds."""
    process = start(world, tmp_path / "spool", "--window", "1s")
    for _ in range(200):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=END_SECONDS)
    assert process.returncode == 0, errors
    assert windows_in(tmp_path / "spool")


def test_it_stops_by_itself_and_stays_stopped(world: World, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    process = world.start("node", *agent_words(spool, "--duration", "2s"))
    _, errors = process.communicate(timeout=END_SECONDS)
    assert process.returncode == 0, errors
    first = windows_in(spool)
    assert first
    process = world.start("node", *agent_words(spool, "--duration", "2s"))
    _, errors = process.communicate(timeout=END_SECONDS)
    assert "records on" not in errors
    assert [window.identity for window in windows_in(spool)] == [window.identity for window in first]


def test_a_killed_run_loses_one_window_and_the_next_one_says_so(world: World, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    process = start(world, spool, "--window", "1s")
    await_line(process, "window 1:")
    end(process, signal.SIGKILL)
    kept = windows_in(spool)
    process = start(world, spool, "--window", "1s")
    end(process)
    fresh = [window for window in windows_in(spool) if window.run != kept[0].run]
    assert {window.identity for window in kept} <= {window.identity for window in windows_in(spool)}
    assert [window.number for window in kept] == list(range(len(kept)))
    assert [window.losses.windows for window in fresh] == [1] + [0] * (len(fresh) - 1)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        run("umount", str(folder))


def test_a_full_disk_costs_windows_and_they_are_counted(world: World, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as spool:
        process = start(world, spool, "--window", "1s")
        await_line(process, "window 0:")
        filler = spool / ".filler"
        with suppress(OSError):
            filler.write_bytes(bytes(1 << 20))
        line = await_line(process, "could not be kept")
        assert "No space left" in line
        before = {window.identity for window in windows_in(spool)}
        filler.unlink()
        await_line(process, "windows given up")
        end(process)
        assert not [path for path in spool.iterdir() if path.name.endswith(".part")]
        told = sum(window.losses.windows for window in windows_in(spool) if window.identity not in before)
        numbers = sorted(window.number for window in windows_in(spool))
        assert told == max(numbers) + 1 - len(numbers) >= 1
