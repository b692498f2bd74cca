"""The hub as a whole: its folder, its threads, and what is answered to whom."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from netpol.agent.hub.admission import SECOND, Admission
from netpol.agent.hub.app import Condition, Front, Health, application
from netpol.agent.hub.callers import AUDIENCE, Callers, Rights
from netpol.agent.hub.durable import free_bytes
from netpol.agent.hub.inbox import Inbox
from netpol.agent.hub.intake import Intake
from netpol.agent.hub.keeper import Keeper, Times
from netpol.agent.hub.library import Library
from netpol.agent.hub.limits import Limits
from netpol.agent.hub.lock import FolderLock
from netpol.agent.hub.metrics import Metrics
from netpol.agent.hub.report import Followed, Node, Report, Waiting, rows_of_dataset
from netpol.agent.hub.serving import Door, listener, serve
from netpol.agent.hub.state import State
from netpol.agent.hub.tls import Certificate
from netpol.agent.hub.tokens import TokenFile
from netpol.agent.hub.upkeep import Retention
from netpol.agent.hub.watching import Watching
from netpol.cluster.token_review import TokenReviewer
from netpol.dataset.place import Folder
from netpol.errors import UsageError
from netpol.flows.write import timestamp

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.applications import Starlette

    from netpol.agent.hub.logs import Log
    from netpol.cluster.access import Connection


_SILENT: Final = 300 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a hub is run.

    Attributes:
        folder: What it keeps; made where there is none.
        host: Where it listens.
        port: 0 for any.
        certificate: PEM file of the certificate chain, and that of the key; None for plain HTTP.
        token_file: Tokens of senders and readers.
        connection: The API server, where it is to be asked about service-account tokens, or watched.
        rights: What their owners may.
        watches: Whether the cluster's history is kept.
        retention: How long and how much is kept.
        times: How often there is work on the dataset.
        limits: What is refused.
    """

    folder: Path
    host: str
    port: int
    certificate: tuple[Path, Path] | None = None
    token_file: Path | None = None
    connection: Connection | None = None
    rights: Rights = field(default_factory=lambda: Rights(frozenset(), frozenset()))
    watches: bool = False
    retention: Retention = field(default_factory=Retention)
    times: Times = field(default_factory=Times)
    limits: Limits = field(default_factory=Limits)


def run(settings: Settings, log: Log) -> None:
    """Runs the hub until it is told to end.

    Raises:
        UsageError: The folder or the address cannot be had.
        InputError: A file cannot be used.
    """
    with ExitStack() as held:
        try:
            hub = _Hub(settings, log, held)
        except OSError as error:
            raise UsageError(
                f"cannot be used: {error.strerror}",
                where=(str(error.filename or settings.folder),),
                remedy="Give a folder that this process may write, on a disk with room",
            ) from None
        hub.run()


class _Hub:
    """What is open while it runs is closed by `held`, in the opposite order."""

    def __init__(self, settings: Settings, log: Log, held: ExitStack) -> None:
        self._settings, self._log, self._held = settings, log, held
        # What can be wrong with options is found before anything is touched.
        self._tokens = TokenFile(settings.token_file) if settings.token_file else None
        self._certificate = Certificate(*settings.certificate) if settings.certificate else None
        folder = settings.folder
        folder.mkdir(parents=True, exist_ok=True)
        held.callback(FolderLock(folder).release)
        self._listening = held.enter_context(listener(settings.host, settings.port))
        # Where somebody moved a damaged state aside, the dataset tells what is not to be taken again.
        self._state = State(folder / "state.sqlite", lambda: rows_of_dataset(Folder(folder)))
        held.callback(self._state.close)
        self._inbox = Inbox(folder / "inbox")
        keep = settings.retention.whole
        admission = Admission(self._state, settings.limits, None if keep is None else keep * SECOND)
        self._intake = Intake(self._inbox, admission, log)
        self._watching = (
            Watching(folder, settings.connection, log) if settings.connection is not None and settings.watches else None
        )
        self._metrics = self._watched()
        self._keeper = Keeper(
            folder,
            inbox=self._inbox,
            intake=self._intake,
            state=self._state,
            metrics=self._metrics,
            log=log,
            times=settings.times,
            retention=settings.retention,
        )

    def _watched(self) -> Metrics:
        metrics = Metrics()
        metrics.watch("inbox_windows", "Windows that wait for the dataset", lambda: self._inbox.count)
        metrics.watch("inbox_bytes", "Bytes of them", lambda: self._inbox.size)
        metrics.watch("nodes", "Nodes that windows came from", self._state.node_count)
        metrics.watch(
            "nodes_silent",
            "Nodes of which nothing came for five minutes",
            lambda: self._state.silent_count(time.time_ns() - _SILENT),
        )
        metrics.watch("disk_free_bytes", "Bytes that the disk has left", lambda: free_bytes(self._settings.folder))
        return metrics

    def run(self) -> None:
        """Answers requests until it is told to end."""
        self._intake.start()
        self._held.callback(self._intake.stop)
        if self._watching is not None:
            self._watching.start()
            self._held.callback(self._watching.stop)
        self._keeper.start()
        self._held.callback(self._keeper.stop)
        serve(
            self._application(),
            Door(
                self._listening,
                self._certificate.context if self._certificate else None,
                self._settings.limits.connections,
            ),
            started=self._say_started,
            tick=self._tick,
        )
        self._log.say("stopping", waiting=self._inbox.count)

    def _application(self) -> Starlette:
        settings = self._settings
        asks = settings.connection is not None and bool(settings.rights.writers or settings.rights.readers)
        reviewer = TokenReviewer(settings.connection, (AUDIENCE,)) if asks and settings.connection else None
        callers = Callers(tokens=self._tokens, reviewer=reviewer, rights=settings.rights, log=self._log)
        alive = [
            Condition("intake", lambda: self._intake.is_alive),
            Condition("keeper", lambda: self._keeper.is_alive),
        ]
        ready = [*alive, Condition("disk", self._intake.is_writable)]
        if self._watching is not None:
            watching = self._watching
            ready.append(Condition("cluster", lambda: watching.is_synced))
        front = Front(
            callers=callers,
            intake=self._intake,
            limits=settings.limits,
            metrics=self._metrics,
            health=Health(alive, ready),
        )
        library = Library(
            settings.folder, callers=callers, limits=settings.limits, metrics=self._metrics, report=self._report
        )
        return application([*front.routes(), *library.routes()], self._metrics)

    def _report(self) -> Report:
        now = time.time_ns()
        nodes = [Node.of(each, now) for each in self._state.nodes()]
        heard = {node.node for node in nodes}
        return Report(
            time=timestamp(now),
            nodes=nodes,
            version=version("netpol-learn"),
            waiting=Waiting(self._inbox.count, self._inbox.size),
            disk_free=free_bytes(self._settings.folder),
            cluster=self._followed(),
            unheard=[name for name in self._watching.nodes() if name not in heard] if self._watching else [],
        )

    def _followed(self) -> Followed | None:
        if self._watching is None:
            return None
        kinds = {name: str(status.state) for name, status in self._watching.status().items()}
        return Followed(self._watching.is_synced, kinds)

    def _say_started(self) -> None:
        host, port = self._listening.getsockname()[:2]
        scheme = "https" if self._certificate else "http"
        self._log.say(
            "listening",
            address=f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}",
            folder=str(self._settings.folder),
            waiting=self._inbox.count,
        )

    async def _tick(self) -> None:
        if self._certificate is not None:
            self._certificate.refresh(self._log)
