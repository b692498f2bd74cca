"""Random changes, outages, relists and restarts: the history tells what a plain account of them tells."""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netpol.cluster.history import History
from netpol.cluster.history_write import Change
from netpol.cluster.kinds import KINDS
from netpol.cluster.manifests import load
from tests.cluster.ledger import SECOND, START, STEP, Account, World, text

PODS = next(kind for kind in KINDS if kind.resource == "pods")
_NAMES = st.sampled_from(["a", "b", "c"])
_LABELS = st.sampled_from([{"v": "1"}, {"v": "2"}, {}])
_ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::1"])
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), _NAMES, _LABELS, st.just("") | _ADDRESSES),
        st.tuples(st.just("address"), _NAMES, _ADDRESSES),
        st.tuples(st.just("label"), _NAMES, _LABELS),
        st.tuples(st.sampled_from(["announce", "finish", "delete", "vanish"]), _NAMES),
        st.tuples(st.sampled_from(["beat", "cut", "resume", "relist", "restart"])),
    ),
    max_size=30,
)


@dataclass
class Run:
    """A history beside the account of what it was told."""

    folder: Path
    world: World = field(default_factory=World)
    account: Account = field(default_factory=Account)
    waiting: list[tuple[Change, int]] | None = None
    contact: int = START
    created: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.history = self.open()
        self.list()

    def open(self) -> History:
        return History.open(self.folder, clock=lambda: self.world.now)

    @property
    def writer(self) -> Any:
        return self.history.writer

    def list(self) -> None:
        now, alive = self.world.now, {pod["metadata"]["uid"]: pod for pod in self.world.pods.values()}
        self.writer.begin(PODS)
        assert self.writer.page(PODS, list(alive.values())).refused == []
        self.writer.finish(PODS, "1", set(alive))
        for uid, pod in alive.items():
            self.account.hear(pod, now, self.created[uid])
        for uid, line in self.account.lines.items():
            if uid not in alive and line.gone is None:
                self.account.lose(uid, now, self.contact)
        self.waiting, self.contact = None, now

    def resume(self) -> None:
        waiting, self.waiting = self.waiting or [], None
        if waiting:
            outcome = self.writer.take(PODS, [change for change, _ in waiting], "2", behind=True)
            assert outcome.refused == []
        self.writer.take(PODS, [], "2", behind=False)
        for change, _ in waiting:
            self.hear(change, self.contact)
        self.contact = self.world.now

    def say(self, pod: dict[str, Any], *, gone: bool = False) -> None:
        change = Change(pod, gone)
        if self.waiting is not None:
            self.waiting.append((change, self.world.now))
            return
        assert self.writer.take(PODS, [change], "3", behind=False).refused == []
        self.hear(change, self.world.now)
        self.contact = self.world.now

    def hear(self, change: Change, seen: int) -> None:
        uid = change.item["metadata"]["uid"]
        self.account.hear(change.item, self.world.now, self.created[uid])
        if change.gone:
            self.account.lose(uid, self.world.now, max(seen, self.created[uid]))

    def step(self, step: tuple[Any, ...]) -> None:
        self.world.now += STEP
        self.of_pods(step)
        self.of_watches(step[0])

    def of_pods(self, step: tuple[Any, ...]) -> None:  # one line a case
        world = self.world
        match step:
            case ("create", name, labels, ip) if name not in world.pods:
                pod = world.create(name, labels, ip)
                self.created[pod["metadata"]["uid"]] = world.now
                self.say(pod)
            case ("address", name, ip) if name in world.pods:
                self.say(world.change(name, "status", podIP=ip, podIPs=[{"ip": ip}]))
            case ("label", name, labels) if name in world.pods:
                self.say(world.change(name, "metadata", labels=labels))
            case ("announce", name) if name in world.pods:
                self.say(world.change(name, "metadata", deletionTimestamp=text(world.now + 30 * SECOND)))
            case ("finish", name) if name in world.pods:
                ended = [{"state": {"terminated": {"finishedAt": text(world.now)}}}]
                self.say(world.change(name, "status", phase="Succeeded", containerStatuses=ended))
            case ("delete", name) if name in world.pods:
                world.change(name, "metadata", deletionTimestamp=text(world.now))
                self.say(world.pods.pop(name), gone=True)
            case ("vanish", name) if name in world.pods:
                self.say(world.pods.pop(name), gone=True)
            case ("beat", *_):  # what changes nothing that matters
                for name in world.pods:
                    self.say(world.change(name, "status", conditions=[{"lastTransitionTime": text(world.now)}]))

    def of_watches(self, step: str) -> None:
        if step == "cut" and self.waiting is None:
            self.waiting = []
        elif step == "resume" and self.waiting is not None:
            self.resume()
        elif step == "relist":
            self.list()
        elif step == "restart":
            self.history.close()
            self.history = self.open()


def rounded(time: int | None) -> int | None:
    """To seconds: a history's clock shows no time twice, and moves on by a microsecond with each change."""
    return None if time is None else (time + SECOND // 2) // SECOND


@given(_STEPS, st.integers(0, 31), st.integers(0, 31))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_it_tells_what_a_plain_account_tells(steps: list[tuple[Any, ...]], first: int, last: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder))
        for step in steps:
            run.step(step)
        history, account = run.history, run.account
        inventory = history.inventory()
        found = {
            pod.uid: (pod.name, dict(pod.labels), {str(one) for one in pod.addresses}, pod.started, rounded(pod.ended))
            for pod in inventory.pods
        }
        assert found == {
            uid: (line.name, line.labels[-1][1], set(line.addresses), line.start, rounded(account.end(uid)))
            for uid, line in account.lines.items()
        }

        since, until = START + first * STEP + STEP // 2, START + last * STEP + STEP // 2
        part = {pod.uid: pod for pod in history.inventory(since, until).pods}
        lines = account.lines.items()
        expected = {uid: line for uid, line in lines if line.start < until and (line.gone is None or line.gone > since)}
        assert part.keys() == (expected.keys() if since <= until else part.keys())
        for uid, line in expected.items() if since <= until else ():
            assert dict(part[uid].labels) == [labels for time, labels in line.labels if time < until][-1]
            known = {ip for ip, time in line.addresses.items() if time < until}
            assert {str(one) for one in part[uid].addresses} <= line.addresses.keys()
            # Of several addresses those that it had before the range are none of the range's.
            assert {str(one) for one in part[uid].addresses} >= (known if len(line.addresses) < 2 else set())

        stream = io.StringIO()
        history.export(stream)
        history.close()
        if not account.lines:
            return
        export = Path(folder, "export.json")
        export.write_text(stream.getvalue())
        assert load([export]) == inventory
        export.unlink()
        assert load([Path(folder)]) == inventory
