"""What a history keeps of an object: the texts that together are its state, none of which changes at a heartbeat.

A state is what a snapshot keeps, less what only says when a container or condition changed while the pod lived. An
EndpointSlice is kept endpoint by endpoint: a Service of a hundred pods that all are replaced takes two hundred small
texts, not two hundred large ones.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from netpol.cluster.collect import Collection
from netpol.cluster.documents import Document
from netpol.cluster.safe_json import is_deeper
from netpol.cluster.safe_yaml import MAX_DEPTH
from netpol.cluster.snapshot import kept_of, line_of
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_STATE_BYTES: Final = 4 << 20
"""A text larger than this is refused: etcd takes no object of more than 1.5 MB."""

_ENDED: Final = frozenset({"Succeeded", "Failed"})
_WHEN: Final = ("conditions", "containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_ARRIVING: Final = ("podIP", "podIPs", "hostIP", "hostIPs")


def states_of(item: dict[str, Any]) -> list[str]:
    """The texts that are the object's state; none where it is of a kind, or a ConfigMap, that nobody reads.

    Raises:
        InputError: It is malformed, or too large.
    """
    kept = kept_of(item)
    if kept is None:
        return []
    if is_deeper(kept, MAX_DEPTH):
        raise InputError(f"nested deeper than {MAX_DEPTH} levels", remedy="Nothing that netpol reads needs that")
    if kept["kind"] == "Pod":
        _quieten(kept)
    texts = [line_of(part) for part in _parts(kept)]
    if any(len(text) > MAX_STATE_BYTES for text in texts):
        raise InputError(f"is larger than {MAX_STATE_BYTES >> 20} MiB", remedy="Nothing that netpol reads needs that")
    return sorted(set(texts))


def check(states: Iterable[str]) -> None:
    """Reads the states as they will be read: one that nobody can read would spoil all that is kept beside it.

    Raises:
        InputError: One is malformed.
    """
    found = Collection()
    for state in states:
        found.add(Document((), json.loads(state)))


def grows_into(old: str, new: str) -> bool:
    """Whether the new state of a pod says all that the old one does, so that it can take its place.

    That is so while a pod starts: it is given a node, then addresses. It is so, too, when its end is announced: until
    the announced time nothing changes.
    """
    before, after = json.loads(old), json.loads(new)
    if before.get("kind") != "Pod" or (before.get("status") or {}).get("phase") in _ENDED:
        return False
    if (after.get("status") or {}).get("phase") in _ENDED:
        return False
    earlier, later = before.get("status") or {}, after.get("status") or {}
    for name in _ARRIVING:
        had, has = earlier.pop(name, None), later.pop(name, None)
        if had is not None and had != has and not (isinstance(had, list) and isinstance(has, list) and _in(had, has)):
            return False
    for owner, name in ((earlier, "phase"), (later, "phase"), (earlier, "startTime"), (later, "startTime")):
        owner.pop(name, None)
    for one in (before, after):
        one["metadata"].pop("deletionTimestamp", None)
    if "nodeName" not in (before.get("spec") or {}):
        (after.get("spec") or {}).pop("nodeName", None)
    return _without_empty(before) == _without_empty(after)


def _quieten(pod: dict[str, Any]) -> None:
    """Drops the times that only a pod that ended is known by."""
    status = pod.get("status")
    if status is not None and status.get("phase") not in _ENDED:
        for name in _WHEN:
            status.pop(name, None)


def _parts(kept: dict[str, Any]) -> list[dict[str, Any]]:
    endpoints = kept.get("endpoints")
    if kept["kind"] != "EndpointSlice" or not endpoints:
        return [kept]
    return [{**kept, "endpoints": [endpoint]} for endpoint in endpoints]


def _in(few: list[Any], many: list[Any]) -> bool:
    return all(one in many for one in few)


def _without_empty(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if value not in ({}, None)}
