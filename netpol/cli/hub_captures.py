"""hub://... in the place of a capture: fetched into a folder of its own, which goes when the command ends."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from netpol.agent.hub.place import hub_place, is_hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from netpol.agent.hub.client import Hub, Progress
    from netpol.agent.hub.place import HubPlace
    from netpol.dataset.captures import Span

__all__ = ["asked", "history", "is_hub", "local", "reach", "release"]


@dataclass(slots=True)
class _Fetched:
    """What a hub gave so far.

    Attributes:
        place: Which hub, and which time of it.
        hub: The same, to be asked for more.
        root: The folder of all that it gave, for this command alone.
        cluster: The cluster's history; None where it was not asked for.
        datasets: By the part of the time that was asked for.
    """

    place: HubPlace
    hub: Hub
    root: Path
    cluster: Path | None = None
    datasets: dict[Span | None, Path] = field(default_factory=dict)


_FETCHED: dict[str, _Fetched] = {}
"""By what was given: a command reads a hub for its cluster first, and then for its records."""


def reach(word: str, context: str | None = None, kubeconfig: Path | None = None) -> None:
    """Makes a hub known to `history` and `local`, which do not know of contexts.

    Args:
        word: hub://...
        context: Of the kubeconfig, for a hub behind the API server.
        kubeconfig: The same.

    Raises:
        UsageError: The word names no hub.
        ClusterError: There is no token, or no way to it.
    """
    if word not in _FETCHED:
        place, hub = asked(word, context, kubeconfig)
        # Known before it is filled: what ends in the middle is removed, too.
        _FETCHED[word] = _Fetched(place, hub, Path(tempfile.mkdtemp(prefix="netpol-hub-")))


def history(word: str) -> Path | None:
    """The cluster's history over the time that the word names, None where the hub keeps none.

    Raises:
        ClusterError: The hub cannot be asked.
    """
    reach(word)
    fetched = _FETCHED[word]
    if fetched.cluster is None:
        path = fetched.root / "cluster.json"
        with _released_by_errors():
            fetched.cluster = path if fetched.hub.cluster(fetched.place, path) else None
    return fetched.cluster


def local(words: Sequence[str], span: Span | None = None) -> list[str]:
    """The words, with a folder that was fetched in the place of each hub.

    Args:
        words: What was given.
        span: The part of the time that will be read: hours outside are not fetched.

    Raises:
        ClusterError: A hub cannot be asked.
    """
    return [str(_dataset(word, span)) if is_hub(word) else word for word in words]


def _dataset(word: str, span: Span | None) -> Path:
    reach(word)
    fetched = _FETCHED[word]
    if span not in fetched.datasets:
        folder = fetched.root / f"dataset-{len(fetched.datasets)}"
        with _released_by_errors(), _progress() as tell:
            folder.mkdir()
            fetched.hub.download(_within(fetched.place, span), folder, tell)
        fetched.datasets[span] = folder
    return fetched.datasets[span]


def _within(place: HubPlace, span: Span | None) -> HubPlace:
    """The hub with the time that both want of it."""
    if span is None:
        return place
    since = max((time for time in (place.since, span.since) if time is not None), default=None)
    until = min((time for time in (place.until, span.until) if time is not None), default=None)
    return replace(place, since=since, until=until)


@contextmanager
def _released_by_errors() -> Iterator[None]:
    try:
        yield
    except BaseException:
        release()
        raise


def release() -> None:
    """Removes all that was fetched."""
    for fetched in _FETCHED.values():
        shutil.rmtree(fetched.root, ignore_errors=True)
    _FETCHED.clear()


atexit.register(release)


def asked(word: str, context: str | None = None, kubeconfig: Path | None = None) -> tuple[HubPlace, Hub]:
    """A hub that can be asked.

    Raises:
        UsageError: The word names none.
        ClusterError: There is no token, or no way to it.
    """
    from netpol.agent.hub.asking import DirectAsker, ProxiedAsker
    from netpol.agent.hub.client import Hub

    place = hub_place(word, time.time_ns)
    if place.host:
        return place, Hub(DirectAsker(place, os.environ))
    from netpol.cluster.access import connect

    return place, Hub(ProxiedAsker(place, connect(context, kubeconfig), os.environ))


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """Tells on the terminal how far it is, and nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("asking the hub") as status:
        yield lambda done: status.update(f"{done.done / 1e6:,.1f} of {done.whole / 1e6:,.1f} MB fetched from the hub")
