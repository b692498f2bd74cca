"""`netpol snapshot`: the cluster as it is now, as one file."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from netpol.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from netpol.cluster.documents import Document
    from netpol.cluster.live import LiveReading

STDOUT: Final = "-"
_EVERYTHING: Final = "*"


def snapshot(
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="FILE", help="Where to write it; - is standard output."),
    ] = STDOUT,
    namespace: options.Namespaces = None,
    everything: options.AllNamespaces = False,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Write down the cluster as it is now, as one file that `--cluster` reads.

    It holds who had which address and label, who listens where, and the policies. Secrets, environment variables,
    volumes, images, command lines and annotations are left out, whatever the cluster holds.

    Take one when a recording starts, one when it ends, and some in between where pods come and go: with all of them as
    `--cluster`, an address belongs to whoever held it at the time of the packet.

    It needs the right to list what it holds. What may not be listed is missing from it, and is said.
    """
    from netpol.cli.observe import warn
    from netpol.cli.snapshot_file import require_writable, write
    from netpol.cluster.live import LiveReading
    from netpol.cluster.snapshot import snapshot_objects, snapshot_text
    from netpol.errors import ClusterError, InputError

    chosen = options.chosen_namespaces(namespace, everything=everything)
    names = tuple(sorted(chosen or ()))
    _require_names(names)
    target = None if output == STDOUT else Path(output)
    if target is not None:
        require_writable(target)
    reading = LiveReading()
    documents = _read(names, context, kubeconfig, reading)
    for message in reading.warnings:
        warn(message)
    try:
        objects = snapshot_objects(documents)
    except InputError as error:
        raise ClusterError(error.what, where=error.where, remedy="Correct it in the cluster") from None
    counts = Counter(str(item["kind"]) for item in objects)
    if not objects:
        raise ClusterError("there is nothing to write down", remedy="Check the namespace, and what you may list")
    with_pods = {item["metadata"].get("namespace") for item in objects if item["kind"] == "Pod"}
    for name in names:
        if name not in with_pods:
            warn(f"no pods in namespace {name}")
    size = write(target, snapshot_text(objects, reading.taken, reading.scope))
    account = _account(output if target is not None else "snapshot", counts, size, reading)
    sys.stderr.write(account)


def _require_names(names: Iterable[str]) -> None:
    """Names go into the paths that the API server is asked for.

    Raises:
        UsageError: One is no name of a namespace.
    """
    from netpol.errors import UsageError
    from netpol.model.labels import is_dns_label
    from netpol.model.text import shown

    for name in names:
        if not is_dns_label(name):
            raise UsageError(f"{shown(name)} is not the name of a namespace", remedy="Give one as -n NAME")


def _read(
    namespaces: Sequence[str], context: str | None, kubeconfig: Path | None, reading: LiveReading
) -> list[Document]:
    """The objects of the namespaces and those of the cluster, each once; of all namespaces where none is named."""
    from netpol.cluster.live import LiveReading, read_live_documents

    found: list[Document] = []
    scopes: list[str] = []
    read: set[tuple[str, ...]] = set()
    for namespace in namespaces or (None,):
        one = LiveReading()
        documents = list(read_live_documents(context, kubeconfig, namespace, one, policies=True))
        # What has no namespace is listed with each; a place begins with the server and the list.
        found += [document for document in documents if document.place[:2] not in read]
        read |= {document.place[:2] for document in documents}
        scopes += [one.scope] if one.scope else []
        reading.taken = reading.taken or one.taken
        reading.missed += [resource for resource in one.missed if resource not in reading.missed]
        reading.warnings += [message for message in one.warnings if message not in reading.warnings]
    reading.scope = ",".join(scopes)
    return found


def _account(name: str, counts: Mapping[str, int], size: int, reading: LiveReading) -> str:
    """`cluster.json: 30 Pods, 4 Namespaces; 12.3 KiB; of the whole cluster at 2026-11-22T10:00:00Z`."""
    from netpol.cli.text import plain

    kinds = ", ".join(f"{count:,} {_plural(kind) if count != 1 else kind}" for kind, count in counts.items())
    scopes = {_EVERYTHING: "the whole cluster", "": "what may be listed of the cluster"}
    of = scopes.get(reading.scope, f"namespace {reading.scope.replace(',', ', ')}")
    return f"{plain(name)}: {of} at {reading.taken}: {kinds}; {size / 1024:,.1f} KiB\n"


def _plural(kind: str) -> str:
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}" if kind.endswith("ts") else f"{kind}s"
