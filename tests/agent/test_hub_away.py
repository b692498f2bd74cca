"""Agents and a hub, either of them killed or away: what was acknowledged is there once, and what is missing is told."""

from __future__ import annotations

import random
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from netpol.dataset import layout
from netpol.dataset.folder import Dataset
from netpol.dataset.place import Folder
from tests.agent import live_traffic as traffic
from tests.agent.hub.processes import TOKENS, WRITER
from tests.agent.live_world import END_SECONDS, SERVER, World, await_line, needs_world, served_world, windows_in

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.namespaces, needs_world]

_LISTEN = "127.0.0.1:8443"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    yield from served_world()


class Ends:
    """An agent and a hub on the same node."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.spool, self.data = world, folder / "spool", folder / "data"
        self._tokens, self._token = folder / "tokens", folder / "token"
        self._tokens.write_text(TOKENS)
        self._tokens.chmod(0o600)
        self._token.write_text(WRITER)

    def agent(self) -> subprocess.Popen[str]:
        words = f"--node-name node-a --window 1s --buffer 2Mi --hub http://{_LISTEN}"
        place = ("--spool", str(self.spool), "--token-file", str(self._token))
        process = self.world.start("node", sys.executable, "-m", "netpol", "agent", *place, *words.split())
        await_line(process, "records on")
        return process

    def hub(self) -> subprocess.Popen[str]:
        words = f"--listen {_LISTEN} --batch-seconds 1"
        place = ("-d", str(self.data), "--token-file", str(self._tokens))
        process = self.world.start("node", sys.executable, "-m", "netpol", "hub", *place, *words.split())
        await_line(process, "listening")
        return process

    def kept(self) -> list[str]:
        """Identities of what the hub keeps."""
        waiting = [window.identity for window in windows_in(self.data / "inbox")]
        return [*Dataset.open(self.data).identities(), *waiting]

    def lost(self) -> int:
        """Windows that the hub was told are lost."""
        index = Dataset.open(self.data)._index
        rows = [
            row
            for hour in layout.hours(Folder(self.data), layout.WINDOWS)
            for each in index.hour(hour).raw
            for row in each.rows
        ]
        waiting = windows_in(self.data / "inbox")
        return sum(each.losses.windows for each in rows) + sum(each.losses.windows for each in waiting)


def stop(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> str:
    process.send_signal(number)
    return process.communicate(timeout=END_SECONDS)[1]


def test_what_was_recorded_while_the_hub_was_away_arrives_later(world: World, tmp_path: Path) -> None:
    ends = Ends(world, tmp_path)
    agent = ends.agent()
    await_line(agent, "cannot be reached")
    world.python("client", traffic.ONE, SERVER)
    await_line(agent, "window 2:")
    waiting = windows_in(ends.spool)
    assert len(waiting) >= 3
    hub = ends.hub()
    await_line(agent, "takes windows again")
    errors = stop(agent)
    assert "0 wait in the spool" in errors, errors
    stop(hub)
    assert not windows_in(ends.spool)
    kept = ends.kept()
    assert len(kept) == len(set(kept))
    assert {window.identity for window in waiting} <= set(kept)


def test_killed_at_random_no_window_is_damaged_or_doubled_and_each_kill_costs_one(world: World, tmp_path: Path) -> None:
    chance = random.Random(7)
    ends = Ends(world, tmp_path)
    hub = ends.hub()
    kills = 5
    for turn in range(kills):
        agent = ends.agent()
        world.python("client", traffic.ONE, SERVER)
        for number in range(chance.randrange(2)):
            await_line(agent, f"window {number}:")
        world.python("client", f"import time; time.sleep({chance.random()})")  # anywhere within a window
        if turn == kills - 1:
            stop(hub, signal.SIGKILL)
        stop(agent, signal.SIGKILL)
    hub = ends.hub()
    agent = ends.agent()
    await_line(agent, "window 0:")
    errors = stop(agent)
    assert "0 wait in the spool" in errors, errors
    stop(hub)
    assert not [path.name for path in ends.spool.iterdir() if path.suffix == ".refused"]
    kept = ends.kept()
    assert len(kept) == len(set(kept))
    runs: dict[str, list[int]] = {}
    for identity in kept:
        run, _, place = identity.partition("-")
        runs.setdefault(run, []).append(int(place))
    assert all(sorted(numbers) == list(range(len(numbers))) for numbers in runs.values())
    assert ends.lost() == kills
