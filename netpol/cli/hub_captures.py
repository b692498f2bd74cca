"""hub://... in the place of a capture: fetched once into a folder of its own, which goes when the command ends."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netpol.agent.hub.place import hub_place, is_hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from netpol.agent.hub.client import Hub, Progress
    from netpol.agent.hub.place import HubPlace

__all__ = ["Fetched", "asked", "fetch", "is_hub", "local", "release"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a hub gave.

    Attributes:
        folder: A dataset.
        cluster: The cluster's history, None where the hub keeps none.
        root: The folder of both, for this command alone.
    """

    folder: Path
    cluster: Path | None
    root: Path


_FETCHED: dict[str, Fetched] = {}
"""By what was given: a command reads a hub for its cluster first, and then for its records."""


def fetch(word: str, context: str | None = None, kubeconfig: Path | None = None) -> Fetched:
    """What a hub holds, fetched when it is asked for the first time.

    Args:
        word: hub://...
        context: Of the kubeconfig, for a hub behind the API server.
        kubeconfig: The same.

    Raises:
        UsageError: The word names no hub.
        ClusterError: The hub cannot be asked.
    """
    if word not in _FETCHED:
        place, hub = asked(word, context, kubeconfig)
        root = Path(tempfile.mkdtemp(prefix="netpol-hub-"))
        # Known before it is filled: what ends in the middle is removed, too.
        folder, history = root / "dataset", root / "cluster.json"
        _FETCHED[word] = Fetched(folder, None, root)
        try:
            folder.mkdir()
            with _progress() as tell:
                hub.download(place, folder, tell)
                cluster = history if hub.cluster(place, history) else None
        except BaseException:
            release()
            raise
        _FETCHED[word] = Fetched(folder, cluster, root)
    return _FETCHED[word]


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


def local(words: Sequence[str]) -> list[str]:
    """The words, with the folder that was fetched in the place of each hub."""
    return [str(fetch(word).folder) if is_hub(word) else word for word in words]


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """Tells on the terminal how far it is, and nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("asking the hub") as status:
        yield lambda done: status.update(f"{done.done / 1e6:,.1f} of {done.whole / 1e6:,.1f} MB fetched from the hub")
