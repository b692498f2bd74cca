"""Takes an API server; keeps a history of its cluster up to date, until told to stop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from netpol.cluster.asking import ask
from netpol.cluster.kinds import CONFIG_KIND, CONFIGS, KINDS, POLICY_KINDS, config_path
from netpol.cluster.watch_kind import KindWatch
from netpol.cluster.watch_line import Line
from netpol.cluster.watch_status import KindProgress, KindStatus
from netpol.errors import ClusterError, NetpolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from netpol.cluster.access import Connection
    from netpol.cluster.history import History

WATCHED: Final = (*KINDS, *POLICY_KINDS)
_PRUNE_SECONDS: Final = 600.0
"""Between looks at what can be forgotten, and at the ConfigMaps, which nobody changes while a cluster runs."""
_END_SECONDS: Final = 15.0


class Watcher:
    """Follows every kind that netpol reads, one thread each.

    Args:
        connection: The API server; rights to list and watch, see `netpol.cluster.rights`.
        history: Opened to write.
        stop: Set by whoever wants it to end.
        on_status: Called, from any thread, whenever a kind enters another state.
    """

    def __init__(
        self,
        connection: Connection,
        history: History,
        stop: threading.Event,
        on_status: Callable[[KindStatus], None] | None = None,
    ) -> None:
        if history.writer is None:
            raise ValueError("the history was opened to be read")
        self._history = history
        self._writer = history.writer
        self._stop = stop
        self._connection = connection
        tell = on_status if on_status is not None else _tell_nobody
        self._progress = [KindProgress(kind, tell) for kind in WATCHED]
        self._failure: BaseException | None = None
        self._trouble = ""

    def run(self) -> None:
        """Watches until `stop` is set; returns within seconds of it.

        What fails outside is tried again for as long as it takes. Only a defect in netpol ends it early: it is raised.
        """
        lines = [Line(self._connection) for _ in self._progress]
        watches = [
            KindWatch(one.kind, line, self._writer, one) for one, line in zip(self._progress, lines, strict=True)
        ]
        own = Line(self._connection)
        threads = [
            threading.Thread(target=self._guard, args=(watch.run,), name=f"watch-{one.kind.resource}", daemon=True)
            for watch, one in zip(watches, self._progress, strict=True)
        ]
        threads.append(threading.Thread(target=self._guard, args=(lambda: self._tend(own),), name="tend", daemon=True))
        for thread in threads:
            thread.start()
        self._stop.wait()
        for line in (*lines, own):
            line.close()
        for thread in threads:
            thread.join(_END_SECONDS)
        if self._failure is not None:
            raise self._failure

    def status(self) -> dict[str, KindStatus]:
        """How each kind goes, by resource."""
        return {one.kind.resource: one.status() for one in self._progress}

    @property
    def synced(self) -> bool:
        """Whether all that can be known is known, as of a moment since this process started."""
        return all(one.synced for one in self._progress)

    @property
    def trouble(self) -> str:
        """Why what is old could not be forgotten the last time; empty where it could."""
        return self._trouble

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - `run` raises it, in the thread of who called it
            self._failure = self._failure or error
            self._stop.set()

    def _tend(self, line: Line) -> None:
        """Now and then forgets what is old, and asks for the few ConfigMaps that state the cluster's ranges."""
        while not line.closed:
            try:
                self._history.prune()
                self._read_configs(line)
                self._trouble = ""
            except NetpolError as error:
                self._trouble = str(error)
            line.wait(_PRUNE_SECONDS)

    def _read_configs(self, line: Line) -> None:
        for name in CONFIGS:
            status, body = ask(line, config_path(name), {})
            if status == 200:  # who may not read it, or does not have it, has no ranges stated
                if not isinstance(body, dict):
                    raise ClusterError("is no object", where=(line.name, config_path(name)), remedy="Check the address")
                self._writer.page(CONFIG_KIND, [body])


def _tell_nobody(_status: KindStatus) -> None:
    """For who does not want to know."""
