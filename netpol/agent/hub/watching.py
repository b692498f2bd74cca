"""The watcher of the cluster inside the hub: a thread that is there as long as the hub is."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from netpol.cluster.history import History
from netpol.cluster.watch import Watcher

if TYPE_CHECKING:
    from pathlib import Path

    from netpol.agent.hub.logs import Log
    from netpol.cluster.access import Connection
    from netpol.cluster.watch_status import KindStatus

FOLDER: Final = "cluster"
"""Of the history, in that of the dataset."""
_AGAIN_SECONDS: Final = 30.0
_TOLD: Final = frozenset({"retrying", "forbidden"})


class Watching:
    """Keeps the cluster's history up to date.

    Args:
        root: Of the dataset.
        connection: The API server.
        log: Told what cannot be followed.

    Raises:
        InputError: The history cannot be written.
    """

    def __init__(self, root: Path, connection: Connection, log: Log) -> None:
        self._history = History.open(root / FOLDER)
        self._connection, self._log = connection, log
        self._stop = threading.Event()
        self._watcher: Watcher | None = None
        self._thread = threading.Thread(target=self._run, name="watching")

    def start(self) -> None:
        """Starts to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Ends within seconds."""
        self._stop.set()
        self._thread.join()
        self._history.close()

    @property
    def is_synced(self) -> bool:
        """Whether all that can be known of the cluster is known."""
        watcher = self._watcher
        return watcher is not None and watcher.synced

    def nodes(self) -> list[str]:
        """The names of the cluster's nodes, as far as they are known."""
        return self._history.present("nodes")

    def status(self) -> dict[str, KindStatus]:
        """How each kind goes."""
        watcher = self._watcher
        return watcher.status() if watcher is not None else {}

    def _run(self) -> None:
        while not self._stop.is_set():
            ended = threading.Event()
            watcher = Watcher(self._connection, self._history, ended, self._tell)
            self._watcher = watcher
            forward = threading.Thread(target=self._end, args=(ended,), name="watching-end")
            forward.start()
            try:
                watcher.run()
            except Exception as error:  # noqa: BLE001 - a defect in the watcher must not end the taking of windows
                self._log.failed("the cluster's history is not followed", error)
            finally:
                ended.set()
                forward.join()
            self._stop.wait(_AGAIN_SECONDS)

    def _end(self, ended: threading.Event) -> None:
        """Ends a watcher when the hub ends, or this helper when the watcher ends by itself."""
        while not self._stop.wait(1.0):
            if ended.is_set():
                return
        ended.set()

    def _tell(self, status: KindStatus) -> None:
        if status.state in _TOLD:
            self._log.warn(f"{status.resource}: {status.state}", reason=status.error)
