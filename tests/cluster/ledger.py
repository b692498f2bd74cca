"""A cluster of pods that changes step by step, and a plain account of what a watcher could know of it.

The account keeps one line a pod, in the simplest way: it knows nothing of states, spans, rows and looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

SECOND = 10**9
STEP = 60 * SECOND
START = 1_767_268_800 * SECOND


def text(time: int) -> str:
    return datetime.fromtimestamp(time // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def number(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp()) * SECOND


@dataclass
class Line:
    """What is known of one pod.

    Attributes:
        labels: When it was heard of that it has them.
        addresses: The same for each address.
        own_end: When it ends by its own word.
        gone: When it was heard of that it is gone.
        seen: When it was last known to be there.
    """

    name: str
    start: int
    labels: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    addresses: dict[str, int] = field(default_factory=dict)
    own_end: int | None = None
    gone: int | None = None
    seen: int = START


@dataclass
class World:
    """The pods that exist, as the API server has them; `now` moves on by a minute with each change."""

    now: int = START
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    _made: int = 0

    def create(self, name: str, labels: dict[str, str], ip: str) -> dict[str, Any]:
        self._made += 1
        metadata = {"name": name, "namespace": "shop", "uid": f"u{self._made}", "labels": labels}
        metadata |= {"creationTimestamp": text(self.now), "resourceVersion": "1"}
        addresses = {"podIP": ip, "podIPs": [{"ip": ip}]} if ip else {}
        self.pods[name] = {"metadata": metadata, "spec": {}, "status": {"phase": "Running", **addresses}}
        return self.pods[name]

    def change(self, name: str, part: str, **fields: Any) -> dict[str, Any]:
        pod = self.pods[name]
        self.pods[name] = {**pod, part: {**pod[part], **fields}}
        return self.pods[name]


@dataclass
class Account:
    """What can be known."""

    lines: dict[str, Line] = field(default_factory=dict)

    def hear(self, pod: dict[str, Any], now: int, created: int) -> None:
        """That a pod is like this."""
        metadata, status = pod["metadata"], pod["status"]
        uid = metadata["uid"]
        line = self.lines.get(uid)
        if line is None:
            line = self.lines[uid] = Line(metadata["name"], created, [(created, metadata["labels"])])
            now = created
        if line.labels[-1][1] != metadata["labels"]:
            line.labels.append((now, metadata["labels"]))
        if "podIP" in status:
            line.addresses.setdefault(status["podIP"], now)
        if "containerStatuses" in status:
            line.own_end = number(status["containerStatuses"][0]["state"]["terminated"]["finishedAt"])
        elif "deletionTimestamp" in metadata:
            line.own_end = number(metadata["deletionTimestamp"])

    def lose(self, uid: str, now: int, seen: int) -> None:
        """That a pod is gone, and was last known to be there at `seen`."""
        if uid in self.lines:
            self.lines[uid].gone, self.lines[uid].seen = now, seen

    def end(self, uid: str) -> int | None:
        """When a pod ended, as far as can be told."""
        line = self.lines[uid]
        ends = [time for time in (line.own_end, line.gone) if time is not None]
        if line.gone is not None and line.own_end is None:
            # Somebody else started at its address when it had not been seen for a while.
            after = max(line.seen, line.start)
            others = [other for one, other in self.lines.items() if one != uid]
            ends += [one.start for one in others if one.addresses.keys() & line.addresses.keys() and one.start > after]
        return min(ends, default=None)
