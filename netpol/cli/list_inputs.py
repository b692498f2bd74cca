"""The cluster for commands that look at it as it is now, without its history."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.cli.observe import ClusterChoice
    from netpol.model.inventory import Inventory


@contextmanager
def one_pass() -> Iterator[None]:
    """Keeps the cycle collector away from a command that builds much, throws little away, and ends.

    Parsed manifests are millions of objects without cycles; looking through them again and again costs a fifth of the
    time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def read_inventory(choice: ClusterChoice) -> Inventory:
    """The cluster from the files, or from the API server where no file was given.

    Raises:
        InputError: A file cannot be read.
        ClusterError: The API server cannot be asked.
    """
    if choice.paths:
        from netpol.cli.observe import paths_of
        from netpol.cluster.manifests import load

        return load(paths_of(choice.paths))
    from netpol.cli.observe import warn
    from netpol.cluster.live import LiveReading, load_live

    reading = LiveReading()
    inventory = load_live(choice.context, choice.kubeconfig, reading=reading)
    for message in reading.warnings:
        warn(message)
    return inventory
