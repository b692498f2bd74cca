"""`netpol hub`: keeps what the agents of all nodes record."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from netpol.cli import options
from netpol.errors import UsageError
from netpol.model.text import shown

_PORT: Final = 8443


def hub(
    data: Annotated[
        Path, typer.Option("-d", "--data", metavar="DIR", help="What it keeps: a dataset, read by any command.")
    ],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where agents and readers reach it; [::]:8443 is everywhere.")
    ] = f"127.0.0.1:{_PORT}",
    tls_cert: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Certificate chain, PEM. Read again when it changes.", show_default=False),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key, PEM.", show_default=False)] = None,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="Without TLS on other addresses than loopback, too: tokens leak.")
    ] = False,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Tokens, one a line: `writer NODE TOKEN`, `writer * TOKEN` or `reader NAME TOKEN`. Read again when "
            "it changes.",
            show_default=False,
        ),
    ] = None,
    writer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMESPACE/NAME",
            help="Service account of the agents; the API server is asked whose a token is. Repeatable.",
            show_default=False,
        ),
    ] = None,
    reader: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMESPACE/NAME", help="The same for those who may read; or user:NAME.", show_default=False
        ),
    ] = None,
    watch: Annotated[
        bool | None,
        typer.Option(
            "--watch/--no-watch",
            help="Keep the cluster's history: who had which address when. The default in a pod.",
            show_default=False,
        ),
    ] = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    keep: Annotated[str, typer.Option(metavar="SPAN", help="How long anything is kept, as 90d.")] = "90d",
    keep_raw: Annotated[
        str,
        typer.Option(
            metavar="SPAN", help="How long windows are kept as recorded, beside what they add up to by the hour."
        ),
    ] = "7d",
    max_size: Annotated[
        str,
        typer.Option(metavar="SIZE", help="How large the dataset gets, as 20GiB or as a share of its disk, as 80%."),
    ] = "80%",
    settle: Annotated[
        str,
        typer.Option(metavar="SPAN", help="How long an hour's windows may still come before they are added up."),
    ] = "2h",
    batch_seconds: Annotated[
        int, typer.Option(min=1, max=3600, metavar="SECONDS", help="How often windows are moved into the dataset.")
    ] = 5,
    upkeep_seconds: Annotated[
        int,
        typer.Option(min=1, max=86_400, metavar="SECONDS", help="How often the dataset is put in shape and pruned."),
    ] = 600,
    keep_free: Annotated[
        str, typer.Option(metavar="SIZE", help="So much of the disk stays free: below, nothing more is taken.")
    ] = "256MiB",
) -> None:
    """Keep what the agents of all nodes record, and give it to readers.

    It takes windows from `netpol agent`, acknowledges what is durable on its disk, and keeps each once. Every command
    that takes a CAPTURE reads its folder, or the hub itself as hub://HOST:PORT.

    Tokens of service accounts have to be made out to the audience netpol-hub. For readers that come through the API
    server's service proxy, which keeps the Authorization header for itself, the token stands in X-Netpol-Token.
    """
    from netpol.agent.hub.callers import Rights
    from netpol.agent.hub.hub import Settings, run
    from netpol.agent.hub.keeper import Times
    from netpol.agent.hub.limits import Limits
    from netpol.agent.hub.logs import Log
    from netpol.agent.hub.upkeep import Retention
    from netpol.cli.amounts import seconds, size
    from netpol.cluster.access import connect, is_in_pod

    host, port = _address(listen)
    rights = Rights.of(writer or [], reader or [])
    if token_file is None and not rights.writers:
        raise UsageError("nobody may send", remedy="Give --writer for service accounts, or --token-file")
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key belong together", remedy="Give both")
    certificate = (tls_cert, tls_key) if tls_cert is not None and tls_key is not None else None
    if certificate is None and not insecure_http and not _is_loopback(host):
        raise UsageError(
            "without TLS, whoever sees a packet has the token in it",
            where=("--listen", listen),
            remedy="Give --tls-cert and --tls-key, listen on 127.0.0.1, or say --insecure-http",
        )
    watches = is_in_pod() if watch is None else watch
    # Commands end before a search for cycles would pay; this one stays.
    gc.enable()
    settings = Settings(
        folder=data,
        host=host,
        port=port,
        certificate=certificate,
        token_file=token_file,
        connection=connect(context, kubeconfig) if watches or rights.writers or rights.readers else None,
        rights=rights,
        watches=watches,
        times=Times(move=batch_seconds, upkeep=upkeep_seconds),
        retention=Retention(
            settle=seconds(settle, "--settle"),
            raw=seconds(keep_raw, "--keep-raw"),
            whole=seconds(keep, "--keep"),
            size=_share(max_size, data),
        ),
        limits=Limits(reserve=size(keep_free, "--keep-free")),
    )
    run(settings, Log(sys.stderr))


def _address(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT, where an IPv6 address stands in brackets.

    Raises:
        UsageError: It is none.
    """
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    well_formed = colon and bare and (":" not in bare or host == f"[{bare}]")
    if not (well_formed and port.isascii() and port.isdecimal() and len(port) < 6 and int(port) < 1 << 16):
        raise UsageError(f"{shown(text)} is no address to listen on", remedy="Give HOST:PORT, as in [::]:8443")
    return bare, int(port)


def _share(text: str, folder: Path) -> int:
    """Bytes of a size, or of a share of the disk that a folder is on, or is going to be on.

    Raises:
        UsageError: It is neither.
    """
    import shutil

    from netpol.cli.amounts import size

    number = text.removesuffix("%")
    if number == text:
        return size(text, "--max-size")
    if not (number.isascii() and number.isdecimal() and len(number) < 4 and 0 < int(number) <= 100):
        raise UsageError(f"{shown(text)} is no share of a disk", where=("--max-size",), remedy="Give one as 80%")
    there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), Path("/"))
    return shutil.disk_usage(there).total * int(number) // 100


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
