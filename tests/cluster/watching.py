"""A watcher under test: its thread, its history, and a way to the API server that can be cut."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from netpol.cluster.access import connect
from netpol.cluster.history import History, Keep
from netpol.cluster.watch import Watcher

if TYPE_CHECKING:
    from netpol.model.inventory import Inventory, Pod

DEADLINE_SECONDS = 100.0


def wait_until(true: Callable[[], bool], what: str, tell: Callable[[], object] = lambda: "") -> None:
    """Waits for something that happens elsewhere; how fast, the test does not depend on."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_SECONDS:.0f} s: {tell()}"
        threading.Event().wait(0.02)


class Proxy:
    """Hands bytes on to the API server until it is cut, then refuses everybody until it is mended."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 0)
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._whole = threading.Event()
        self._whole.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        with self._lock:  # whoever is being let in is either among these, or is not let in
            self._whole.clear()
            for one in self._sockets:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._whole.set()

    def close(self) -> None:
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    whole = self._whole.is_set()
                    if whole:
                        self._sockets |= {client, server}
                if not whole:
                    client.close()
                    server.close()
                    continue
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._hand_on, args=(one, other), daemon=True).start()

    def _hand_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                target.sendall(piece)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        with self._lock:
            mine = {source} & self._sockets
            self._sockets -= mine
        for one in mine:
            one.close()


@dataclass
class Watched:
    """A watcher that runs, and its history."""

    history: History
    watcher: Watcher

    def pods(self) -> dict[str, Pod]:
        """What the history says now, by name."""
        return {pod.name: pod for pod in self.history.inventory().pods}

    def inventory(self) -> Inventory:
        return self.history.inventory()

    def wait_for(self, true: Callable[[dict[str, Pod]], bool], what: str) -> dict[str, Pod]:
        wait_until(lambda: true(self.pods()), what)
        return self.pods()

    def wait_for_state(self, resource: str, state: str) -> None:
        wait_until(lambda: self.watcher.status()[resource].state == state, f"{resource} {state}")


@contextmanager
def watched(kubeconfig: Path, folder: Path, *, synced: bool = True, keep: Keep | None = None) -> Iterator[Watched]:
    """A watcher of the cluster, told to stop in the end, and stopping when told."""
    stop = threading.Event()
    with closing(History.open(folder, keep)) as history:
        watcher = Watcher(connect(None, kubeconfig), history, stop)
        thread = threading.Thread(target=watcher.run)
        thread.start()
        try:
            if synced:
                wait_until(lambda: watcher.synced, "synced", watcher.status)
            yield Watched(history, watcher)
        finally:
            stop.set()
            thread.join(DEADLINE_SECONDS)
            assert not thread.is_alive(), "it does not stop"
