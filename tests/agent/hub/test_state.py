"""What the state remembers, held against a set of identities; and what becomes of it on a bad disk."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netpol.agent.hub.report import rows_of_dataset
from netpol.agent.hub.state import Head, State
from netpol.dataset.folder import Dataset
from netpol.dataset.layout import HOUR, hour_of
from netpol.dataset.place import Folder
from netpol.dataset.window import Losses
from netpol.errors import InputError
from tests.agent.hub.windows import MINUTE, this_minute, window

RUN = "0123456789abcdef" * 2

RUNS = ("a" * 32, "b" * 32)
NUMBERS = st.lists(st.tuples(st.sampled_from(RUNS), st.integers(0, 12)), max_size=40)


def head(run: str, number: int, **more: Any) -> Head:
    plain = Head(observer=f"node-{run[0]}", run=run, number=number, begin=number, end=number + 1)
    return replace(plain, **more)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(NUMBERS, st.integers(1, 5))
def test_each_window_is_new_once(sent: list[tuple[str, int]], together: int) -> None:
    with TemporaryDirectory() as folder:
        state = State(Path(folder) / "state.sqlite")
        new = [
            each
            for begin in range(0, len(sent), together)
            for each in state.record(head(*one) for one in sent[begin : begin + together])
        ]
        assert new == [each not in sent[:index] for index, each in enumerate(sent)]
        taken = set(sent)
        for run in RUNS:
            assert [number for number in range(14) if state.knows(run, number)] == sorted(
                number for one, number in taken if one == run
            )
        count = Counter(run for run, _ in taken)
        numbers = {run: [number for one, number in taken if one == run] for run in count}
        spans = {run: max(found) + 1 - min(found) for run, found in numbers.items()}
        assert {node.observer: (node.windows, node.missing) for node in state.nodes()} == {
            f"node-{run[0]}": (count[run], spans[run] - count[run]) for run in count
        }
        state.close()


def test_counts_add_up_and_the_latest_version_stands(tmp_path: Path) -> None:
    state = State(tmp_path / "state.sqlite")
    state.record([head(RUNS[0], 5, kernel=3, records=10, given_up=1, given_up_records=4, interfaces=2)])
    state.record([head(RUNS[0], 2, kernel=4, records=1, undecodable=9, interfaces=8)])
    (node,) = state.nodes()
    assert (node.kernel, node.records, node.undecodable) == (7, 11, 9)
    assert (node.given_up, node.given_up_records) == (1, 4)
    assert (node.first_begin, node.last_end, node.interfaces) == (2, 6, 2)
    state.close()


def test_it_is_still_known_after_a_restart(tmp_path: Path) -> None:
    state = State(tmp_path / "state.sqlite")
    state.record([head(RUNS[0], 1)])
    state.close()
    state = State(tmp_path / "state.sqlite")
    assert state.knows(RUNS[0], 1)
    assert state.observer_of(RUNS[0]) == "node-a"
    state.close()


def test_what_ended_is_forgotten(tmp_path: Path) -> None:
    state = State(tmp_path / "state.sqlite")
    state.record([head(RUNS[0], 3), head(RUNS[1], 12)])
    state.forget(10)
    assert not state.knows(RUNS[0], 3)
    assert state.knows(RUNS[1], 12)
    assert [node.observer for node in state.nodes()] == ["node-b"]
    state.close()


def test_a_file_that_is_no_state(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(b"not a database, " * 100)
    with pytest.raises(InputError, match="not a state"):
        State(path)


def test_a_newer_state(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    state = State(path)
    state._base.execute("PRAGMA user_version = 99")
    state.close()
    with pytest.raises(InputError, match="newer netpol"):
        State(path)


def test_it_is_made_again_from_a_dataset(tmp_path: Path) -> None:
    begin = this_minute() // HOUR * HOUR - 5 * HOUR
    dataset = Dataset.create(tmp_path)
    made = [window(number=number, begin=begin + number * 20 * MINUTE, connections=number) for number in (0, 1, 2, 5, 6)]
    made.append(window(observer="node-b", run="b" * 32, number=3, begin=begin, losses=Losses(kernel=2)))
    dataset.append(made)
    dataset.roll_up(hour_of(begin))
    dataset.prune(now=this_minute(), max_raw_age=0)
    old, new = State(tmp_path / "old.sqlite"), State(tmp_path / "new.sqlite", lambda: rows_of_dataset(Folder(tmp_path)))
    old.record([Head.of(each, 0) for each in made])
    assert new.nodes() == old.nodes()
    assert [new.knows(RUN, number) for number in range(8)] == [old.knows(RUN, number) for number in range(8)]
    assert new.record([Head.of(each, 0) for each in made]) == [False] * len(made)
    old.close()
    new.close()
