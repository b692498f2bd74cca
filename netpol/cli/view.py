"""`netpol view`: the flow graph in the browser, which follows what is recorded."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from netpol.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netpol.model.tiers import Policy
    from netpol.view.serve import Shown

_HOST: Final = "127.0.0.1"
_CONNECTIONS: Final = 64
_MOST_FILES: Final = 100_000
"""Files of a folder that are looked at for changes."""


def view(
    captures: options.Captures,
    cluster: options.ClusterPaths = None,
    policies: options.JudgingPolicies = None,
    old: options.OldPolicies = None,
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="Where it listens; 0: any that is free.")
    ] = 0,
    refresh: Annotated[
        str,
        typer.Option(
            "--refresh",
            metavar="TIME",
            help="How often files are looked at for changes, and hubs asked for what is new, as 10s or 5m.",
        ),
    ] = "30s",
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Look at the flow graph in the browser, with what workloads ask DNS and how many bytes they move.

    The page is served to this machine alone, at an address that holds a secret. It follows a hub, a dataset and
    captures that grow. Ctrl-C ends it.
    """
    from netpol.agent.hub.serving import Door, listener, serve
    from netpol.cli.amounts import seconds
    from netpol.cli.observe import note, refuse_shared_stdin, warn
    from netpol.cli.policies import read_policy_set
    from netpol.view import page
    from netpol.view.serve import Live, address, application, secret

    gc.enable()  # this command goes on
    page.require()
    refuse_shared_stdin(captures, cluster or [], policies or [], old or [])
    every = seconds(refresh, "--refresh")
    material = _Recorded(
        captures=captures,
        cluster=cluster,
        judge=read_policy_set(policies) if policies else None,
        before=read_policy_set(old) if old else None,
        every=every,
        context=context,
        kubeconfig=kubeconfig,
    )
    live = Live(material, every, failed=warn)
    with listener(_HOST, port) as door:
        where = address(door.getsockname()[1], key := secret())
        live.start()
        serve(
            application(live, key),
            Door(door, None, _CONNECTIONS),
            started=lambda: note(f"the graph is at {where} until Ctrl-C"),
            tick=_nothing,
        )
    live.stop()


async def _nothing() -> None:
    """Nothing is to be done while it serves."""


@dataclass(slots=True, kw_only=True)
class _Recorded:
    """What the user named, read anew when it changed."""

    captures: Sequence[str]
    cluster: Sequence[str] | None
    judge: Sequence[Policy] | None
    before: Sequence[Policy] | None
    every: int
    context: str | None
    kubeconfig: Path | None
    _state: tuple[tuple[str, int, int], ...] | None = None

    def changed(self) -> bool:
        """A hub or bucket may have something new at any time; files have when they are others, or longer, or newer."""
        from netpol.agent.hub.place import is_hub
        from netpol.dataset.address import is_address

        return any(is_hub(word) or is_address(word) for word in self.captures) or self._state != tuple(self._files())

    def read(self) -> Shown:
        """All that was recorded by now.

        Raises:
            NetpolError: It cannot be read.
        """
        from netpol.cli.graph import flow_graph
        from netpol.cli.hub_captures import release
        from netpol.cli.observe import ClusterChoice, cluster_of, cluster_paths, read
        from netpol.names.table import Names
        from netpol.view.as_json import json_pieces
        from netpol.view.asked import questions
        from netpol.view.page import page_pieces
        from netpol.view.serve import Shown, tag_of
        from netpol.view.traffic import TrafficCount

        again = self._state is not None
        state = tuple(self._files())
        release()
        paths = cluster_paths(self.cluster, self.captures, self.context, self.kubeconfig)
        known = cluster_of(ClusterChoice(paths=paths, context=self.context, kubeconfig=self.kubeconfig))
        names, traffic = Names(), TrafficCount(known.timeline)
        reading = read(self.captures, known, names=names, tap=traffic.through, quiet=again)
        graph = flow_graph(reading, known, self.judge, self.before, names)
        counted = traffic.result()
        more = {
            "traffic": counted.to_json() if counted else None,
            "dns": [each.to_json() for each in questions(names, known.timeline)],
        }
        data = "".join(json_pieces(graph, more)).encode()
        followed = {**more, "live": {"seconds": self.every, "tag": tag_of(data)}}
        page = "".join(page_pieces(graph, live=True, more=followed))
        self._state = state
        return Shown(page.encode(), data)

    def _files(self) -> Iterator[tuple[str, int, int]]:
        """Name, size and time of the last change of every file that is read."""
        from netpol.agent.hub.place import is_hub

        named = [word for word in (*self.captures, *(self.cluster or ())) if word != "-" and not is_hub(word)]
        seen = 0
        for word in named:
            for path in _below(Path(word)):
                seen += 1
                if seen > _MOST_FILES:
                    return
                try:
                    status = path.stat()
                except OSError:
                    continue
                yield str(path), status.st_size, status.st_mtime_ns


def _below(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for here, folders, files in os.walk(path):
        folders.sort()
        yield from (Path(here, name) for name in sorted(files))
