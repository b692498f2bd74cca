"""`netpol agent`: records live traffic on a node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

_LONGEST_WINDOW: Final = 3600


def agent(
    spool: Annotated[
        Path, typer.Option("--spool", metavar="DIR", help="The folder for windows that are not sent yet.")
    ] = Path("/var/lib/netpol"),
    spool_size: Annotated[
        str, typer.Option("--spool-size", metavar="SIZE", help="What it may hold; the oldest windows give way.")
    ] = "512Mi",
    hub: Annotated[
        str | None,
        typer.Option(
            "--hub",
            metavar="URL",
            help="Where windows are sent, as https://HOST:PORT. Without it they stay in the folder.",
            show_default=False,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="What authenticates the agent.", show_default=False),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option("--ca-file", metavar="FILE", help="Who vouches for the hub's certificate.", show_default=False),
    ] = None,
    node_name: Annotated[
        str | None,
        typer.Option(
            "--node-name", metavar="NAME", envvar="NODE_NAME", help="Of this node; its host name.", show_default=False
        ),
    ] = None,
    interfaces: Annotated[
        list[str] | None,
        typer.Option(
            "--interfaces",
            metavar="PATTERN",
            help="Only interfaces with such names, as eth0 or veth*. Repeatable. Without it all.",
            show_default=False,
        ),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(
            "--duration",
            metavar="TIME",
            help="Stop recording for good so long after the first start, as 168h.",
            show_default=False,
        ),
    ] = None,
    window: Annotated[
        str, typer.Option("--window", metavar="TIME", help="Length of a window; windows end at multiples of it.")
    ] = "60s",
    once: Annotated[bool, typer.Option("--once", help="Stop after one window.")] = False,
    sample: Annotated[
        int,
        typer.Option(
            "--sample",
            metavar="N",
            min=0,
            max=1 << 20,
            help="Take one in N of the TCP packets that open and close nothing, for connections that were open before; "
            "0: none, 1: all.",
        ),
    ] = 256,
    conntrack: Annotated[
        bool,
        typer.Option(
            "--conntrack",
            help="At the start, ask the kernel which TCP connections are open, and who opened them. That takes "
            "NET_ADMIN, too, or /proc/net/nf_conntrack.",
        ),
    ] = False,
    buffer: Annotated[
        str, typer.Option("--buffer", metavar="SIZE", help="Memory for packets that wait to be read.")
    ] = "16Mi",
) -> None:
    """Record live traffic on this node, in the network namespace in which it runs.

    The kernel hands over what opens and closes connections, what carries names, and a sample of the rest. Each minute
    becomes one window: a file in the spool folder, that `netpol learn` reads, and that goes to the hub if there is one.

    It needs the capability NET_RAW, and stops at SIGTERM with its last window written. It touches the file `.alive` in
    the spool folder every second: a probe may look at how old that is.
    """
    import signal
    from importlib.metadata import version

    from netpol.agent.run import Agent, Settings
    from netpol.agent.sender import Hub
    from netpol.cli.amounts import seconds, size
    from netpol.cli.observe import note
    from netpol.errors import UsageError

    if hub is None and (token_file or ca_file):
        raise UsageError("--token-file and --ca-file are for a hub", remedy="Name it with --hub URL")
    length = seconds(window, "--window")
    if not 1 <= length <= _LONGEST_WINDOW:
        raise UsageError(f"a window of {length} s", where=("--window",), remedy="Give 1s to 1h")
    settings = Settings(
        node=_node(node_name),
        version=version("netpol-learn"),
        spool=spool,
        spool_size=size(spool_size, "--spool-size"),
        hub=None if hub is None else Hub(url=hub, token_file=token_file, ca_file=ca_file),
        interfaces=tuple(interfaces or ()),
        sample=sample,
        window=length,
        buffer=size(buffer, "--buffer"),
        duration=None if duration is None else seconds(duration, "--duration"),
        windows=1 if once else None,
        conntrack=conntrack,
    )
    running = Agent(settings, lambda line: note(f"agent: {line}"))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.stop())
    running.run()


def _node(name: str | None) -> str:
    """The node's name.

    Raises:
        UsageError: It is none.
    """
    import socket

    from netpol.dataset.window import is_observer
    from netpol.errors import UsageError

    found = (name or socket.gethostname()).lower()
    if not is_observer(found):
        raise UsageError("the node's name is no DNS name", remedy="Give one as --node-name NAME")
    return found
