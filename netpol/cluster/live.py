"""The cluster as its API server tells it, through the kubernetes client: only access.py imports it.

Lists are fetched in pages and parsed from the raw response, because the typed client takes eight times as long; objects
go through the same readers as manifests do.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from netpol.cluster.access import connect, translate
from netpol.cluster.documents import Document
from netpol.cluster.manifests import inventory_of
from netpol.cluster.safe_json import read_json
from netpol.errors import ClusterError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netpol.cluster.access import Connection
    from netpol.model.inventory import Inventory

PAGE: Final = 500
"""Objects a page, as kubectl asks for them."""
MAX_PAGE_BYTES: Final = 256 << 20
"""A page larger than this is refused: the API server's own objects are 1.5 MB at most, typical ones 10 kB."""
MAX_PAGES: Final = 10_000
_CONNECT_SECONDS, _READ_SECONDS, _PAGE_SECONDS = 5.0, 30.0, 180.0
_CHUNK: Final = 1 << 20
_FORBIDDEN, _MISSING, _EXPIRED, _UNAUTHORIZED = 403, 404, 410, 401


@dataclass(frozen=True, slots=True)
class _Kind:
    """One list to ask for.

    Attributes:
        prefix: The API group and version as it stands in paths.
        needed: Nothing can be done without it; a missing optional kind is a warning.
        expected: A server that does not serve it is worth a warning.
    """

    prefix: str
    resource: str
    kind: str
    namespaced: bool = True
    needed: bool = False
    expected: bool = True

    @property
    def version(self) -> str:
        return self.prefix.removeprefix("apis/").removeprefix("api/")

    def path(self, namespace: str) -> str:
        scope = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"/{self.prefix}{scope}/{self.resource}"


_KINDS: Final = (
    _Kind("api/v1", "namespaces", "Namespace", namespaced=False),
    _Kind("api/v1", "nodes", "Node", namespaced=False),
    _Kind("api/v1", "pods", "Pod", needed=True),
    _Kind("api/v1", "services", "Service"),
    _Kind("apis/discovery.k8s.io/v1", "endpointslices", "EndpointSlice"),
    _Kind("apis/apps/v1", "replicasets", "ReplicaSet"),
    _Kind("apis/apps/v1", "deployments", "Deployment"),
    _Kind("apis/apps/v1", "statefulsets", "StatefulSet"),
    _Kind("apis/apps/v1", "daemonsets", "DaemonSet"),
    _Kind("api/v1", "replicationcontrollers", "ReplicationController"),
    _Kind("apis/batch/v1", "jobs", "Job"),
    _Kind("apis/batch/v1", "cronjobs", "CronJob"),
    _Kind("apis/networking.k8s.io/v1", "ingresses", "Ingress", expected=False),
    _Kind("apis/networking.k8s.io/v1", "servicecidrs", "ServiceCIDR", namespaced=False, expected=False),
    _Kind("apis/crd.projectcalico.org/v1", "ippools", "IPPool", namespaced=False, expected=False),
)
_TIERS: Final = "apis/policy.networking.k8s.io"
_POLICIES: Final = (
    _Kind("apis/networking.k8s.io/v1", "networkpolicies", "NetworkPolicy"),
    # Few clusters have any of these, and those that do have the older two or the newer one.
    _Kind(f"{_TIERS}/v1alpha1", "adminnetworkpolicies", "AdminNetworkPolicy", namespaced=False, expected=False),
    _Kind(
        f"{_TIERS}/v1alpha1",
        "baselineadminnetworkpolicies",
        "BaselineAdminNetworkPolicy",
        namespaced=False,
        expected=False,
    ),
    _Kind(f"{_TIERS}/v1alpha2", "clusternetworkpolicies", "ClusterNetworkPolicy", namespaced=False, expected=False),
)
_CONFIGS: Final = ("kubeadm-config", "kube-proxy", "cilium-config")


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
    kinds = (*_KINDS, *(_POLICIES if policies else ()))
    for kind in kinds:
        path = kind.path(namespace or "")
        for index, item in enumerate(_list(connection, kind, path, reading)):
            place = (connection.name, path, f"items[{index}]")
            found.append(
                Document(place, {"kind": kind.kind, "apiVersion": kind.version, **item}, (connection.name,), taken)
            )
    for name in _CONFIGS:
        path = f"/api/v1/namespaces/kube-system/configmaps/{name}"
        status, body = _get(connection, path, {})
        if status == 200 and isinstance(body, dict):  # who may not read it, or does not have it, has no ranges stated
            data = {"kind": "ConfigMap", "apiVersion": "v1", **body}
            found.append(Document((connection.name, path), data, (connection.name,), taken))
    # What is missing here is missing in the cluster, unless something could not be read. Who may read one namespace
    # alone is refused what has none: that namespace is whole without it.
    gaps = [kind for kind in kinds if kind.resource in reading.missed and (kind.namespaced or not namespace)]
    scope = reading.scope = "" if gaps else (namespace or "*")
    for document in found:
        yield replace(document, scope=scope)


def _list(connection: Connection, kind: _Kind, path: str, reading: LiveReading) -> list[dict[str, Any]]:
    """All items of a list. Where its pages expired midway (410), once more in one piece, as client-go's pager does."""
    items: list[dict[str, Any]] = []
    query: dict[str, str] = {"limit": str(PAGE)}
    for _ in range(MAX_PAGES):
        status, body = _get(connection, path, query)
        if status == _EXPIRED and query:
            items, query = [], {}
            continue
        if status != 200:
            _refused(connection, kind, path, status, reading)
            return []
        page, token = _page(connection, path, body)
        items += page
        if not token:
            return items
        if token == query.get("continue"):
            break
        query = {"limit": str(PAGE), "continue": token}
    raise ClusterError(
        "the list has no end", where=(connection.name, path), remedy="Check what answers at this address"
    )


def _page(connection: Connection, path: str, body: Any) -> tuple[list[dict[str, Any]], str]:
    items = body.get("items") if isinstance(body, dict) else None
    metadata = body.get("metadata") if isinstance(body, dict) else None
    token = metadata.get("continue") if isinstance(metadata, dict) else None
    is_list = isinstance(body, dict) and isinstance(body.get("kind"), str) and body["kind"].endswith("List")
    items = [] if items is None and is_list else items
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise _strange(connection, path)
    if not (token is None or isinstance(token, str)):
        raise _strange(connection, path)
    return items, token or ""


def _refused(connection: Connection, kind: _Kind, path: str, status: int, reading: LiveReading) -> None:
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


def _get(connection: Connection, path: str, query: dict[str, str]) -> tuple[int, Any]:
    """The status and, if it is 200, the JSON value of one answer."""
    target = f"{path}?{urlencode(query)}" if query else path
    with translate(connection.name, path):
        response = connection.open(target, (_CONNECT_SECONDS, _READ_SECONDS))
        try:
            if response.status != 200:
                return response.status, None
            content = _body(connection, path, response)
        finally:
            response.close()
    try:
        values = list(read_json(content))
    except (InputError, UnicodeDecodeError):
        raise _strange(connection, path) from None
    if len(values) != 1:
        raise _strange(connection, path)
    return 200, values[0]


def _body(connection: Connection, path: str, response: Any) -> bytes:
    """The whole body, bounded in size and in time: a server that sends a byte now and then holds nobody up."""
    deadline = time.monotonic() + _PAGE_SECONDS
    content = bytearray()
    while chunk := response.read1(_CHUNK):
        content += chunk
        if len(content) > MAX_PAGE_BYTES or time.monotonic() > deadline:
            raise ClusterError(
                "the answer is too large or too slow",
                where=(connection.name, path),
                remedy="Check what answers at this address",
            )
    return bytes(content)


def _strange(connection: Connection, path: str) -> ClusterError:
    return ClusterError(
        "the answer is not a list of Kubernetes objects",
        where=(connection.name, path),
        remedy="Check what answers at this address",
    )
