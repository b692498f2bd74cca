"""The cluster as its API server tells it, through the kubernetes client: only access.py imports it.

Lists are fetched in pages and parsed from the raw response, because the typed client takes eight times as long; objects
go through the same readers as manifests do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from netpol.cluster.access import connect
from netpol.cluster.asking import ask, page_of
from netpol.cluster.documents import Document
from netpol.cluster.kinds import CONFIGS, KINDS, POLICY_KINDS, config_path
from netpol.cluster.manifests import inventory_of
from netpol.errors import ClusterError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netpol.cluster.access import Connection
    from netpol.cluster.kinds import Kind
    from netpol.model.inventory import Inventory

PAGE: Final = 500
"""Objects a page, as kubectl asks for them."""
MAX_PAGES: Final = 10_000
_FORBIDDEN, _MISSING, _EXPIRED, _UNAUTHORIZED = 403, 404, 410, 401


@dataclass(slots=True)
class LiveReading:
    """How reading a cluster went.

    Attributes:
        warnings: Each a sentence about something that could not be read, and what follows.
        missed: Resources that could not be read.
        taken: When it began (RFC 3339).
        scope: What it holds completely: `*`, a namespace, or nothing.
    """

    warnings: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    taken: str = ""
    scope: str = ""


def load_live(
    context: str | None = None,
    kubeconfig: Path | None = None,
    namespace: str | None = None,
    reading: LiveReading | None = None,
) -> Inventory:
    """The cluster as it is now.

    Args:
        context: A context of the kubeconfig, its current one by default.
        kubeconfig: By default $KUBECONFIG or ~/.kube/config, and inside a pod its service account.
        namespace: Only this namespace's objects, for those who may not list all.
        reading: Filled with what could not be read; the inventory's notes say so too.

    Raises:
        ClusterError: There is no way to the cluster, or it did not answer, or refused to list pods.
    """
    reading = reading if reading is not None else LiveReading()
    try:
        inventory = inventory_of(read_live_documents(context, kubeconfig, namespace, reading))
    except InputError as error:
        raise ClusterError(
            error.what, where=error.where, remedy="The API server sent an object that breaks its own API"
        ) from None
    notes = {**inventory.notes, **{f"{resource} could not be listed": 1 for resource in reading.missed}}
    return replace(inventory, notes=dict(sorted(notes.items())))


def read_live_documents(
    context: str | None = None,
    kubeconfig: Path | None = None,
    namespace: str | None = None,
    reading: LiveReading | None = None,
    *,
    policies: bool = False,
) -> Iterator[Document]:
    """The objects that netpol looks at, raw, kind by kind; with `policies` all policies too.

    Raises:
        ClusterError: As for `load_live`.
    """
    reading = reading if reading is not None else LiveReading()
    connection = connect(context, kubeconfig)
    taken = reading.taken = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found: list[Document] = []
    kinds = (*KINDS, *(POLICY_KINDS if policies else ()))
    for kind in kinds:
        path = kind.path(namespace or "")
        for index, item in enumerate(_list(connection, kind, path, reading)):
            place = (connection.name, path, f"items[{index}]")
            found.append(
                Document(place, {"kind": kind.kind, "apiVersion": kind.version, **item}, (connection.name,), taken)
            )
    for name in CONFIGS:
        path = config_path(name)
        status, body = ask(connection, path, {})
        if status == 200 and isinstance(body, dict):  # who may not read it, or does not have it, has no ranges stated
            data = {"kind": "ConfigMap", "apiVersion": "v1", **body}
            found.append(Document((connection.name, path), data, (connection.name,), taken))
    # What is missing here is missing in the cluster, unless something could not be read. Who may read one namespace
    # alone is refused what has none: that namespace is whole without it.
    gaps = [kind for kind in kinds if kind.resource in reading.missed and (kind.namespaced or not namespace)]
    scope = reading.scope = "" if gaps else (namespace or "*")
    for document in found:
        yield replace(document, scope=scope)


def _list(connection: Connection, kind: Kind, path: str, reading: LiveReading) -> list[dict[str, Any]]:
    """All items of a list. Where its pages expired midway (410), once more in one piece, as client-go's pager does."""
    items: list[dict[str, Any]] = []
    query: dict[str, str] = {"limit": str(PAGE)}
    for _ in range(MAX_PAGES):
        status, body = ask(connection, path, query)
        if status == _EXPIRED and query:
            items, query = [], {}
            continue
        if status != 200:
            _refused(connection, kind, path, status, reading)
            return []
        page, token, _ = page_of(connection, path, body)
        items += page
        if not token:
            return items
        if token == query.get("continue"):
            break
        query = {"limit": str(PAGE), "continue": token}
    raise ClusterError(
        "the list has no end", where=(connection.name, path), remedy="Check what answers at this address"
    )


def _refused(connection: Connection, kind: Kind, path: str, status: int, reading: LiveReading) -> None:
    where = (connection.name, path)
    if status == _UNAUTHORIZED:
        raise ClusterError(
            "the API server does not accept the credentials", where=where, remedy="Log in again (kubectl get pods)"
        )
    if status not in {_FORBIDDEN, _MISSING}:
        raise ClusterError(f"the API server answered with HTTP status {status}", where=where, remedy="Try again later")
    what = f"may not list {kind.resource}" if status == _FORBIDDEN else f"{kind.resource} are not served"
    if kind.needed:
        remedy = f"Grant the verb list on {kind.resource}, or name a namespace with -n, or use --cluster with manifests"
        raise ClusterError(what, where=where, remedy=remedy)
    if status == _FORBIDDEN or kind.expected:
        reading.missed.append(kind.resource)
        reading.warnings.append(f"{connection.name}: {what}: what they would tell is missing from the result")
