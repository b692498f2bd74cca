"""A hub that is killed again and again while many send: nothing acknowledged is lost, and nothing counts twice."""

from __future__ import annotations

import http.client
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from netpol.capture.packets import Tally
from netpol.dataset.folder import Dataset
from netpol.dataset.window import Losses
from netpol.dataset.window_codec import write_window
from netpol.flows.assemble import assemble
from tests.agent.hub import processes
from tests.agent.hub.processes import WRITER, Hub
from tests.agent.hub.windows import MINUTE, some_run, this_minute, window

SENDERS, WINDOWS, KILLS, CONNECTIONS = 5, 40, 6, 40
LAST = 10
_BUSY = ["--batch-seconds", "1", "--upkeep-seconds", "1", "--settle", "1s"]
"""Always at work: windows are moved, files put together, and hours added up while windows of them still come."""


@dataclass
class Sender:
    """An agent as far as the hub can tell: oldest first, again until it is acknowledged; some windows it gives up."""

    number: int
    hubs: list[Hub]
    killed: threading.Event
    acknowledged: set[str] = field(default_factory=set)
    uncertain: set[str] = field(default_factory=set)
    tries: int = 0

    def run(self) -> None:
        chance = random.Random(self.number)
        run, begin = some_run(chance), this_minute() - WINDOWS * MINUTE
        for number in range(WINDOWS):
            if number == WINDOWS - LAST:
                self.killed.wait()  # so that there is something to send in every hub's life
            made = window(
                observer=f"node-{self.number}",
                run=run,
                number=number,
                begin=begin + number * MINUTE,
                connections=CONNECTIONS,
                losses=Losses(kernel=1),
                network=self.number % 200,
            )
            data = write_window(made)
            once = chance.random() < 0.15
            while not self._send(made.identity, data):
                if once:
                    self.uncertain.add(made.identity)
                    break
                # Between two hubs there is nobody: the next one says when it is there.
                threading.Event().wait(0.05)
            # The next minute comes whether or not this one was taken, at a pace at which several hubs are met.
            threading.Event().wait(0.05)

    def _send(self, identity: str, data: bytes) -> bool:
        self.tries += 1
        connection = self.hubs[-1].connect(10)
        try:
            answer = processes.ask(
                connection,
                "POST",
                f"/v1/windows/{identity}",
                data,
                token=WRITER,
                content_type="application/vnd.netpol.window",
            )
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        assert answer.status in {200, 429, 503}, answer
        if answer.status == 200:
            self.acknowledged.add(identity)
        return answer.status == 200


@pytest.mark.parametrize("seed", [1])
def test_a_hub_that_is_killed_loses_nothing_that_it_acknowledged(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    folder = tmp_path / "data"
    hubs: list[Hub] = []
    killed = threading.Event()
    senders = [Sender(seed * 1000 + number, hubs, killed) for number in range(SENDERS)]
    threads = [threading.Thread(target=sender.run) for sender in senders]
    for _ in range(KILLS):
        with processes.hub(folder, *_BUSY) as hub:
            hubs.append(hub)
            if len(hubs) == 1:
                for thread in threads:
                    thread.start()
            # A moment at random, in whatever the hub is just doing.
            threading.Event().wait(chance.uniform(0.05, 1.6))
            hub.process.kill()
    killed.set()
    with processes.hub(folder, *_BUSY) as hub:
        hubs.append(hub)
        for thread in threads:
            thread.join()
        hub.wait_for_metric("netpol_hub_inbox_windows 0.0")
        assert hub.stop() == 0
    assert not [line for line in hub.lines if line["level"] == "error"]
    acknowledged = set[str]().union(*(sender.acknowledged for sender in senders))
    uncertain = set[str]().union(*(sender.uncertain for sender in senders))
    assert sum(sender.tries for sender in senders) > len(acknowledged)
    assert len(acknowledged) > SENDERS * WINDOWS / 2

    found = Counter(Dataset.open(folder).identities())
    assert not acknowledged - set(found)
    assert set(found) <= acknowledged | uncertain
    assert set(found.values()) == {1}
    # And what a reader gets is that many windows' content, no more and no less.
    tally = Tally()
    table = assemble(Dataset.open(folder).read(tally=tally))
    assert sum(flow.connections for flow in table) == len(found) * CONNECTIONS
    assert (tally.lost, tally.packets) == (len(found), len(found) * CONNECTIONS * 3)
