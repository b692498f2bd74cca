"""What the hub does with its dataset over time, and that readers notice nothing of it but that it is smaller."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest

from netpol.agent.hub.asking import DirectAsker
from netpol.agent.hub.client import Hub
from netpol.agent.hub.listing import listing
from netpol.agent.hub.logs import Log
from netpol.agent.hub.place import hub_place
from netpol.agent.hub.state import Head, State
from netpol.agent.hub.upkeep import Retention, Upkeep
from netpol.capture.packets import Tally
from netpol.dataset import layout
from netpol.dataset.folder import Dataset
from netpol.flows.assemble import assemble
from tests.agent.hub import processes
from tests.agent.hub.test_library import wait_until_kept
from tests.agent.hub.windows import MINUTE, body, this_minute, window
from tests.dataset.recordings import read

HOUR = 60 * MINUTE


def connections(folder: Path) -> int:
    return sum(flow.connections for flow in assemble(Dataset.open(folder).read(tally=Tally())))


def work(upkeep: Upkeep, now: int) -> None:
    for _, do in upkeep.steps(now):
        do()


@pytest.fixture(name="state")
def _state(tmp_path: Path) -> State:
    return State(tmp_path / "state.sqlite")


def test_settled_hours_are_added_up_and_say_the_same(tmp_path: Path, state: State) -> None:
    dataset = Dataset.create(tmp_path)
    begin = this_minute() // HOUR * HOUR - 6 * HOUR
    for number in range(12):
        dataset.append([window(number=number, begin=begin + number * 30 * MINUTE, connections=9)])
    before = read(dataset)
    files = len(listing(tmp_path))
    upkeep = Upkeep(
        tmp_path, dataset=dataset, state=state, retention=Retention(raw=0, settle=0), log=Log(io.StringIO())
    )
    work(upkeep, begin + 4 * HOUR + 1)
    tables = {hour: list(listing(tmp_path, hour * layout.HOUR, (hour + 1) * layout.HOUR))
              for hour in dataset.hours()}  # fmt: skip
    kinds = [{each.name.split("/")[0] for each in found} for found in tables.values()]
    assert ["connections" in found for found in kinds] == [False] * 4 + [True] * 2
    assert ["flows" in found for found in kinds] == [True] * 4 + [False] * 2
    assert len(listing(tmp_path)) < files
    assert read(Dataset.open(tmp_path)) == before


def test_what_is_too_old_is_deleted_and_forgotten(tmp_path: Path, state: State) -> None:
    dataset = Dataset.create(tmp_path)
    begin = this_minute() // HOUR * HOUR - 30 * HOUR
    for number in range(3):
        made = window(run=f"{number}" * 32, observer=f"node-{number}", number=number, begin=begin + number * 10 * HOUR)
        dataset.append([made])
        state.record([Head.of(made, 0)])
    upkeep = Upkeep(
        tmp_path, dataset=dataset, state=state, retention=Retention(whole=12 * 3600), log=Log(io.StringIO())
    )
    work(upkeep, begin + 30 * HOUR)
    assert [identity[:1] for identity in Dataset.open(tmp_path).identities()] == ["2"]
    assert [node.observer for node in state.nodes()] == ["node-2"]


def test_readers_find_everything_while_files_are_put_together(tmp_path: Path) -> None:
    words = ["--batch-seconds", "1", "--upkeep-seconds", "1", "--settle", "1s"]
    with processes.hub(tmp_path / "data", *words) as hub:
        begin = this_minute() // HOUR * HOUR - 3 * HOUR
        sent = 0
        counts = []
        for number in range(24):
            made = body(number=number, begin=begin + number * 5 * MINUTE, connections=10)
            assert hub.send(*made).status == 200
            sent += 10
            if number % 8 == 7:
                threading.Event().wait(1.0)
                counts.append((connections_of_a_copy(hub, tmp_path / f"copy-{number}"), sent))
        wait_until_kept(hub)
        assert connections_of_a_copy(hub, tmp_path / "last") == sent
        assert all(found <= most for found, most in counts)
        assert hub.stop() == 0
    assert not [line for line in hub.lines if line["level"] == "error"]
    assert connections(tmp_path / "data") == sent


def connections_of_a_copy(hub: processes.Hub, folder: Path) -> int:
    """Downloads by the client, with its patience for files that vanish."""
    place = hub_place(hub.url.replace("http://", "hub+http://"), lambda: 0)
    folder.mkdir()
    Hub(DirectAsker(place, {"NETPOL_HUB_TOKEN": processes.READER})).download(place, folder, lambda _: None)
    return connections(folder)


def test_a_dataset_that_is_too_large_becomes_smaller(tmp_path: Path, state: State) -> None:
    dataset = Dataset.create(tmp_path)
    begin = this_minute() // HOUR * HOUR - 8 * HOUR
    for number in range(8):
        dataset.append([window(number=number, begin=begin + number * HOUR, connections=50)])
    whole = sum(each.size for each in listing(tmp_path))
    upkeep = Upkeep(
        tmp_path, dataset=dataset, state=state, retention=Retention(size=whole // 2), log=Log(io.StringIO())
    )
    work(upkeep, begin + 8 * HOUR)
    assert 0 < sum(each.size for each in listing(tmp_path)) <= whole // 2
    assert len(dataset.hours()) < 8
