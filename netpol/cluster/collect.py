"""Every object of every look, read by its kind and kept with where and when it was seen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from netpol.cluster.fields import Fields, Object, parse_time
from netpol.cluster.looks import Look, Sighting
from netpol.cluster.networks import (
    Ranges,
    read_config,
    read_flags,
    read_ip_pool,
    read_node,
    read_service_cidr,
)
from netpol.cluster.owners import Owners
from netpol.cluster.pods import PodSeen, read_pod
from netpol.cluster.services import EndpointsSeen, read_endpoint_slice, read_endpoints, read_ingress, read_service
from netpol.cluster.workloads import GROUPS, WorkloadSeen, read_workload
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netpol.cluster.documents import Document
    from netpol.cluster.looks import Span
    from netpol.model.inventory import Node, Service

T = TypeVar("T")

_CLUSTER: Final = ""
"""In the place of a namespace for objects that have none."""


class Seen(NamedTuple):
    """Where and when an object was seen."""

    look: Look
    place: tuple[str, ...]
    span: Span | None


@dataclass(slots=True)
class Collection:
    """What was read so far; `add` takes one document after the other, in any order."""

    looks: dict[tuple[str, ...], Look] = field(default_factory=dict)
    owners: Owners = field(default_factory=Owners)
    pods: list[Sighting[PodSeen]] = field(default_factory=list)
    namespaces: list[Sighting[Mapping[str, str]]] = field(default_factory=list)
    workloads: list[Sighting[WorkloadSeen]] = field(default_factory=list)
    services: list[Sighting[Service]] = field(default_factory=list)
    endpoints: list[EndpointsSeen] = field(default_factory=list)
    ingress_backends: set[tuple[str, str]] = field(default_factory=set)
    nodes: list[Sighting[Node]] = field(default_factory=list)
    ranges: Ranges = field(default_factory=Ranges)
    passed_over: Counter[str] = field(default_factory=Counter)

    def add(self, document: Document) -> None:
        """Reads one document.

        Raises:
            InputError: A kind that is looked at has a malformed field; `where` has the document's place and the field.
        """
        try:
            self._add(document)
        except InputError as error:
            raise error.inside(*document.place) from None

    def _add(self, document: Document) -> None:
        kind, version = document.data.get("kind"), document.data.get("apiVersion")
        if not isinstance(kind, str) or not isinstance(version, str):
            self.passed_over["(no Kubernetes object)"] += 1
            return
        look = self._look(document)
        read = _READERS.get((kind, version.rpartition("/")[0]))
        if read is None:
            self._pass_over(kind, document, look)
            return
        metadata = document.data.get("metadata")
        if isinstance(metadata, dict) and metadata.get("generateName") and not metadata.get("name"):
            # Something to create, not something that exists: nothing can be attributed to it.
            self.passed_over[f"{kind} (generateName)"] += 1
            return
        read(self, Object.of(document.data), Seen(look, document.place, document.span))

    def _look(self, document: Document) -> Look:
        look = self.looks.get(document.look)
        if look is None:
            look = Look(document.look)
            if document.taken:
                look.time, look.fixed = parse_time(document.taken), True
            look.scope = frozenset(filter(None, document.scope.split(",")))
            look.began = parse_time(document.began) if document.began else None
            look.gaps = int(document.gaps[:9]) if document.gaps.isdecimal() and document.gaps.isascii() else 0
            self.looks[document.look] = look
        return look

    def _pass_over(self, kind: str, document: Document, look: Look) -> None:
        """Counts the object; where it is a controller of a kind not known here, who controls it is worth knowing."""
        self.passed_over[kind if kind.isascii() and kind.isalnum() else ascii(kind[:80])] += 1
        metadata = document.data.get("metadata")
        if kind == "Lease":
            look.saw(Fields(document.data).fields("spec").time("renewTime"))
        elif isinstance(metadata, dict) and metadata.get("ownerReferences") and metadata.get("namespace"):
            self.owners.add(Object.of(document.data))

    def add_pod(self, item: Object, seen: Seen) -> None:
        """Takes a Pod; the flags of the control plane's pods tell the cluster's ranges."""
        self.pods.append(_sighting(item, seen, read_pod(item, seen.look)))
        if item.namespace == "kube-system":
            read_flags(item, self.ranges)

    def add_namespace(self, item: Object, seen: Seen) -> None:
        """Takes a Namespace."""
        seen.look.saw(item.metadata.time("creationTimestamp"))
        name = item.metadata.name(namespace=True)
        self.namespaces.append(Sighting(_CLUSTER, name, "", seen.look, seen.place, item.metadata.labels(), seen.span))

    def add_workload(self, item: Object, seen: Seen) -> None:
        """Takes a controller."""
        seen.look.saw(item.metadata.time("creationTimestamp"))
        self.owners.add(item)
        name, uid = f"{item.kind}/{item.object_name}", item.metadata.text("uid")
        self.workloads.append(
            Sighting(item.namespace, name, uid, seen.look, seen.place, read_workload(item), seen.span)
        )

    def add_service(self, item: Object, seen: Seen) -> None:
        """Takes a Service."""
        seen.look.saw(item.metadata.time("creationTimestamp"))
        self.services.append(_sighting(item, seen, read_service(item)))

    def add_endpoints(self, item: Object, seen: Seen) -> None:
        """Takes an EndpointSlice or Endpoints object."""
        seen.look.saw(item.metadata.time("creationTimestamp"))
        found = read_endpoint_slice(item) if item.kind == "EndpointSlice" else read_endpoints(item)
        if found is None:
            self.passed_over["EndpointSlice (without a Service or addresses)"] += 1
        else:
            self.endpoints.append(found)

    def add_ingress(self, item: Object, seen: Seen) -> None:
        """Takes an Ingress: which Services it leads to."""
        seen.look.saw(item.metadata.time("creationTimestamp"))
        self.ingress_backends.update((item.namespace, name) for name in read_ingress(item))

    def add_node(self, item: Object, seen: Seen) -> None:
        """Takes a Node."""
        uid = item.metadata.text("uid")
        node = read_node(item, seen.look)
        self.nodes.append(Sighting(_CLUSTER, item.object_name, uid, seen.look, seen.place, node, seen.span))

    def add_config(self, item: Object, _seen: Seen) -> None:
        """Takes the cluster's ranges from a ConfigMap that states them."""
        if not read_config(item, self.ranges):
            self.passed_over[item.kind] += 1

    def add_service_cidr(self, item: Object, _seen: Seen) -> None:
        """Takes a range of ClusterIPs."""
        read_service_cidr(item, self.ranges)

    def add_ip_pool(self, item: Object, _seen: Seen) -> None:
        """Takes a range of pod addresses."""
        read_ip_pool(item, self.ranges)


def _sighting(item: Object, seen: Seen, value: T) -> Sighting[T]:
    uid = item.metadata.text("uid")
    return Sighting(item.namespace, item.object_name, uid, seen.look, seen.place, value, seen.span)


_READERS: Final[Mapping[tuple[str, str], Callable[[Collection, Object, Seen], None]]] = {
    ("Pod", ""): Collection.add_pod,
    ("Namespace", ""): Collection.add_namespace,
    ("Service", ""): Collection.add_service,
    ("Endpoints", ""): Collection.add_endpoints,
    ("EndpointSlice", "discovery.k8s.io"): Collection.add_endpoints,
    ("Ingress", "networking.k8s.io"): Collection.add_ingress,
    ("Node", ""): Collection.add_node,
    ("ConfigMap", ""): Collection.add_config,
    ("ServiceCIDR", "networking.k8s.io"): Collection.add_service_cidr,
    ("IPPool", "crd.projectcalico.org"): Collection.add_ip_pool,
    ("IPPool", "projectcalico.org"): Collection.add_ip_pool,
    **{(kind, group): Collection.add_workload for kind, groups in GROUPS.items() for group in groups},
}
