"""Spans of time as a history's file states them: annotations on its list and on each of its items.

`kubectl` and other readers of Kubernetes objects see ordinary objects. On the list, `netpol/history` says from when on
it shows what existed, beside what every snapshot says. On an item, `netpol/since` says when its state was first known,
and one of `netpol/changed-at` and `netpol/gone-at` when it held no longer; neither where it holds at the end. Where
nobody watched an object go, or its kind was last heard of before the history's end, `netpol/last-seen` says when it was
last known to be there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from netpol.cluster.fields import Fields, parse_time
from netpol.cluster.looks import Span
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

BEGAN_ANNOTATION: Final = "netpol/history"
GAPS_ANNOTATION: Final = "netpol/gaps"
"""On the list, too: how often changes of pods may have been missed."""
SINCE_ANNOTATION: Final = "netpol/since"
CHANGED_ANNOTATION: Final = "netpol/changed-at"
GONE_ANNOTATION: Final = "netpol/gone-at"
SEEN_ANNOTATION: Final = "netpol/last-seen"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def time_text(time: int) -> str:
    """A time as RFC 3339 with microseconds, which is what `parse_time` keeps.

    Args:
        time: Nanoseconds since the epoch.
    """
    return (_EPOCH + timedelta(microseconds=time // 1000)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def span_annotations(span: Span, taken: int) -> dict[str, str]:
    """What an item says of its span.

    Args:
        span: Its span.
        taken: When the history ends: nanoseconds since the epoch.
    """
    found = {SINCE_ANNOTATION: time_text(span.since)}
    if span.gone:
        found[GONE_ANNOTATION] = time_text(span.until)
        if span.seen != span.until:
            found[SEEN_ANNOTATION] = time_text(span.seen)
    elif not span.present:
        found[CHANGED_ANNOTATION] = time_text(span.until)
    elif span.until != taken:
        found[SEEN_ANNOTATION] = time_text(span.until)
    return found


def read_span(annotations: Mapping[str, Any], taken: str) -> Span:
    """The span that an item's annotations state.

    Args:
        annotations: Of the item.
        taken: When the history ends (RFC 3339).

    Raises:
        InputError: One is malformed, the first is missing, or they contradict each other.
    """
    fields = Fields(annotations)
    since, changed = fields.time(SINCE_ANNOTATION), fields.time(CHANGED_ANNOTATION)
    gone, seen = fields.time(GONE_ANNOTATION), fields.time(SEEN_ANNOTATION)
    end = parse_time(taken) if taken else None
    if since is None or end is None:
        what = "has no time" if since is None else "the list does not say when it ends"
        raise InputError(what, where=(SINCE_ANNOTATION,), remedy="Export the history again")
    if changed is not None and gone is not None:
        raise InputError("stands beside another end", where=(CHANGED_ANNOTATION,), remedy="Export the history again")
    present = changed is None and gone is None
    until = next(time for time in (changed, gone, seen, end) if time is not None)
    if until < since or (seen is not None and until < seen):
        raise InputError("is later than the end", where=(SINCE_ANNOTATION,), remedy="Export the history again")
    return Span(since, until, until if seen is None else seen, gone is not None, present)
