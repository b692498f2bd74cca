"""Several looks at one cluster, put together into one history.

A look is one file or list: the objects in it existed together. Its time is when a netpol snapshot says it was taken;
otherwise the newest time that is written in it, which the look cannot precede. A look without any time is timeless:
what it shows holds always, and gives way to what a dated look says.

An object that an earlier look shows and a later one does not is gone, but only where the later one would have shown
it: it is a netpol snapshot that holds the namespace, or it shows at least one other object of the same kind and
namespace that the earlier look showed (so it is a second look at the same thing, not a list of something else). Such an
object ended somewhere in between; it is kept until the later look, or until its successor at its address started.

A history, written by one who watched, is a look too: at the time of its last word. What it shows need not have existed
together; each state of each object has the span for which it is known to have held.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")


@dataclass(slots=True)
class Look:
    """One look: its time grows while its objects are read.

    Attributes:
        name: The place of the file or list.
        time: Nanoseconds since the epoch, None while timeless.
        fixed: The time was stated, not found.
        scope: Namespaces that it holds completely, `*` for all.
        began: Nanoseconds since the epoch from which on a history would show what existed, None for other looks.
        gaps: How often a history may have missed changes of pods.
    """

    name: tuple[str, ...]
    time: int | None = None
    fixed: bool = False
    scope: frozenset[str] = frozenset()
    began: int | None = None
    gaps: int = 0

    def saw(self, *times: int | None) -> None:
        """Takes note of times written in an object of this look."""
        if self.fixed:
            return
        for time in times:
            if time is not None and (self.time is None or time > self.time):
                self.time = time

    def holds(self, namespace: str) -> bool:
        """Whether nothing of the namespace is missing from it by design."""
        return "*" in self.scope or namespace in self.scope


class Span(NamedTuple):
    """For how long a history knows one state of an object to have held. All times are nanoseconds since the epoch.

    Attributes:
        since: When it was heard of.
        until: When it was heard that the object had changed or was gone, or when its kind was last heard of.
        seen: When the object was last known to be there: `until`, or earlier where nobody listened when it went.
        gone: It was gone.
        present: It is the object's state where the history ends.
    """

    since: int
    until: int
    seen: int
    gone: bool = False
    present: bool = False


class Sighting(NamedTuple, Generic[T]):
    """One object in one look.

    Attributes:
        uid: The API server's, empty where the manifest carries none.
        place: Where it was read, to break ties independently of the order of reading.
        span: For how long it was seen like this, where the look is a history.
    """

    namespace: str
    name: str
    uid: str
    look: Look
    place: tuple[str, ...]
    value: T
    span: Span | None = None

    @property
    def time(self) -> int | None:
        """The last moment at which it was like this: nanoseconds since the epoch, None where that is timeless."""
        return self.look.time if self.span is None else self.span.until


class Life(NamedTuple, Generic[T]):
    """One object over time.

    Attributes:
        uid: The API server's, or `namespace/name`.
        values: What was seen of it, newest first.
        last_seen: Nanoseconds since the epoch of the last look that showed it, None where that is timeless.
        gone: Nanoseconds since the epoch of the look that missed it, None where none did; the same as `last_seen` where
            a history saw it go.
    """

    uid: str
    values: tuple[T, ...]
    last_seen: int | None
    gone: int | None


Key = tuple[str, str, str]


def lives(sightings: Iterable[Sighting[T]], looks: Iterable[Look]) -> list[Life[T]]:
    """Puts sightings of one kind together by uid, sorted by namespace, name and uid.

    A sighting without uid joins the newest object of its name that has one.

    Args:
        sightings: All of one kind.
        looks: All looks, those that show none of the kind included.
    """
    by_key = _identify(sightings)
    dated = [look for look in looks if look.time is not None]
    # What no later look can miss is not gone; most often there is one look.
    shown = _shown(by_key, dated) if len({look.time for look in dated}) > 1 else {}
    return [
        Life(
            uid=key[2],
            values=tuple([one.value for one in seen]),
            last_seen=seen[0].time if seen[0].span is None else seen[0].span.seen,
            gone=_gone(key, seen[0], shown.get(key[0], [])),
        )
        for key, seen in sorted(by_key.items(), key=itemgetter(0))
    ]


def _newest_first(sighting: Sighting[T]) -> tuple[int, int, tuple[str, ...]]:
    time, span = sighting.time, sighting.span
    return (-time if time is not None else 2**63, -span.since if span is not None else 0, sighting.place)


def _identify(sightings: Iterable[Sighting[T]]) -> dict[Key, list[Sighting[T]]]:
    by_name: dict[tuple[str, str], list[Sighting[T]]] = defaultdict(list)
    for sighting in sightings:
        by_name[sighting.namespace, sighting.name].append(sighting)
    by_key: dict[Key, list[Sighting[T]]] = defaultdict(list)
    for (namespace, name), same_name in by_name.items():
        if len(same_name) > 1:
            same_name.sort(key=_newest_first)
        # Objects of one name differ in uid; which of them a manifest without uid means can only be the last.
        newest = next((one.uid for one in same_name if one.uid), "") or f"{namespace}/{name}"
        for one in same_name:
            by_key[namespace, name, one.uid or newest].append(one)
    return by_key


def _shown(by_key: dict[Key, list[Sighting[T]]], dated: list[Look]) -> dict[str, list[tuple[Look, set[Key]]]]:
    """For each namespace the dated looks that show or hold it, oldest first, with what they show of it."""
    found: dict[str, dict[tuple[str, ...], tuple[Look, set[Key]]]] = {
        namespace: {look.name: (look, set()) for look in dated if look.holds(namespace)}
        for namespace in {key[0] for key in by_key}
    }
    for key, seen in by_key.items():
        for one in seen:
            if one.look.time is not None and (one.span is None or one.span.present):
                found[key[0]].setdefault(one.look.name, (one.look, set()))[1].add(key)
    return {
        namespace: sorted(at.values(), key=lambda entry: (entry[0].time or 0, entry[0].name))
        for namespace, at in found.items()
    }


def _gone(key: Key, last: Sighting[T], looks: list[tuple[Look, set[Key]]]) -> int | None:
    if last.span is not None and last.span.gone:
        return last.span.until
    if last.time is None:
        return None
    beside = next((keys for look, keys in looks if look.name == last.look.name), set())
    for look, keys in looks:
        later = look.time is not None and look.time > last.time
        if later and key not in keys and (look.holds(key[0]) or not keys.isdisjoint(beside)):
            return look.began if look.began is not None and look.began > last.time else look.time
    return None
