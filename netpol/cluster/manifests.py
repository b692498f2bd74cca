"""Takes manifests, lists and snapshots; yields one Inventory: each object once, over all the time looked at."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Literal

from netpol.cluster.collect import Collection
from netpol.cluster.documents import read_documents
from netpol.cluster.looks import lives
from netpol.errors import InputError
from netpol.model.inventory import (
    NAMESPACE_NAME_LABEL,
    EndpointAddress,
    Inventory,
    Namespace,
    Node,
    Pod,
    Service,
    Workload,
    WorkloadRef,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from netpol.cluster.documents import Document
    from netpol.cluster.looks import Life
    from netpol.cluster.pods import PodSeen
    from netpol.model.flow import Address

NAMESPACES_CONCLUDED = "namespaces that no manifest declares"
LABELS_CHANGED = "pods whose labels changed between looks"
ADDRESSES_CHANGED = "pods whose addresses changed between looks"
VANISHED = "pods that a later look no longer shows"
NODES_CONCLUDED = "nodes known from their pods only"
GAPS = "times that a history may have missed changes of pods"
SERVICES_CONCLUDED = "services known from their endpoints only"


def load(paths: Sequence[Path | Literal["-"]]) -> Inventory:
    """Reads the cluster out of files, folders and standard input; the order of `paths` does not matter.

    Raises:
        InputError: Something cannot be read, or an object of a kind that is looked at has a malformed field; `where`
            has the file, document and field. Also where there is no object at all.
    """
    documents = read_documents(paths, past=True)
    first = next(documents, None)
    if first is None:
        raise InputError(
            "holds no Kubernetes object", where=tuple(map(str, paths[:1])), remedy="Name files with pods and services"
        )
    return inventory_of(chain((first,), documents))


def inventory_of(documents: Iterable[Document]) -> Inventory:
    """The same from documents that were read already.

    Raises:
        InputError: A malformed field.
    """
    seen = Collection()
    for document in documents:
        seen.add(document)
    notes: Counter[str] = Counter()
    gaps = sum(look.gaps for look in seen.looks.values())
    if gaps:
        notes[GAPS] = gaps
    pods = _pods(seen, notes)
    nodes = _nodes(seen, notes)
    services = _services(seen, notes)
    workloads = _workloads(seen, pods)
    namespaces = _namespaces(seen, pods, services, workloads, notes)
    pod_cidrs = seen.ranges.pods.union(*(node.pod_cidrs for node in nodes))
    return Inventory(
        namespaces=namespaces,
        pods=tuple(pods),
        workloads=workloads,
        services=tuple(services),
        nodes=tuple(nodes),
        passed_over=dict(sorted(seen.passed_over.items())),
        pod_cidrs=tuple(sorted(pod_cidrs)),
        service_cidrs=tuple(sorted(seen.ranges.services)),
        notes=dict(sorted(notes.items())),
    )


def _pods(seen: Collection, notes: Counter[str]) -> list[Pod]:
    found = lives(seen.pods, seen.looks.values())
    pods = [_pod(life, seen, notes) for life in found]
    first_missed = min((life.last_seen for life in found if life.last_seen is not None), default=None)
    starts: dict[Address, list[int]] = defaultdict(list)
    for pod in pods:
        if pod.started is not None and first_missed is not None and pod.started > first_missed and not pod.host_network:
            for address in pod.addresses:
                starts[address].append(pod.started)
    if not starts:
        return pods
    return [
        pod
        if life.last_seen is None or life.values[0].ended is not None
        else _until_successor(pod, life.last_seen, starts)
        for pod, life in zip(pods, found, strict=True)
    ]


def _until_successor(pod: Pod, last_seen: int, starts: dict[Address, list[int]]) -> Pod:
    """The pod ended, unseen, before another started at its address after the last look that showed it."""
    after = last_seen if pod.started is None else max(last_seen, pod.started)
    later = [start for address in pod.addresses for start in starts.get(address, ()) if start > after]
    if pod.host_network or not later or (pod.ended is not None and pod.ended <= min(later)):
        return pod
    return replace(pod, ended=min(later))


def _pod(life: Life[PodSeen], seen: Collection, notes: Counter[str]) -> Pod:
    pod = life.values[0] if len(life.values) == 1 else _put_together(life.values, notes)
    if life.gone is not None and life.gone != life.last_seen and pod.ended is None:
        notes[VANISHED] += 1
    ends = [end for end in (pod.ended, life.gone) if end is not None]
    return Pod(
        uid=life.uid,
        namespace=pod.namespace,
        name=pod.name,
        labels=pod.labels,
        workload=seen.owners.workload(pod.namespace, pod.name, pod.labels, pod.owner),
        addresses=pod.addresses or (pod.host_addresses if pod.host_network else ()),
        node=pod.node,
        host_network=pod.host_network,
        ports=pod.ports,
        finished=pod.finished,
        started=pod.started,
        ended=min(ends, default=None),
    )


def _put_together(values: Sequence[PodSeen], notes: Counter[str]) -> PodSeen:
    """The newest sighting; addresses of all: a pod whose sandbox was made anew held both, one after the other."""
    newest = values[0]
    addresses = tuple(dict.fromkeys(address for value in values for address in value.addresses))
    if any(value.labels != newest.labels for value in values):
        notes[LABELS_CHANGED] += 1
    if set(addresses) != set(newest.addresses) and newest.addresses:
        notes[ADDRESSES_CHANGED] += 1
    return newest._replace(
        addresses=addresses,
        owner=next((value.owner for value in values if value.owner is not None), None),
        node=next((value.node for value in values if value.node), ""),
        started=next((value.started for value in values if value.started is not None), None),
    )


def _nodes(seen: Collection, notes: Counter[str]) -> list[Node]:
    """The nodes, and those that only their pods tell of: spec.nodeName with status.hostIPs."""
    nodes = []
    for life in lives(seen.nodes, seen.looks.values()):
        newest = life.values[0]
        addresses = dict.fromkeys(address for value in life.values for address in value.addresses)
        nodes.append(replace(newest, addresses=tuple(addresses), ended=life.gone))
    known = {"", *(node.name for node in nodes)}
    hosts: dict[str, dict[Address, None]] = defaultdict(dict)
    untold = [sighting for sighting in seen.pods if sighting.value.node not in known]
    for sighting in sorted(untold, key=lambda one: (one.time or 0, one.place)):
        hosts[sighting.value.node].update(dict.fromkeys(sighting.value.host_addresses))
    for name in sorted(hosts):
        if hosts[name]:
            notes[NODES_CONCLUDED] += 1
            nodes.append(Node(name=name, addresses=tuple(hosts[name])))
    return sorted(nodes, key=lambda node: (node.name, node.started or 0))


def _services(seen: Collection, notes: Counter[str]) -> list[Service]:
    """The Services with the endpoints that any look showed: when each was one, the timeline of its pod tells."""
    endpoints: dict[tuple[str, str], set[EndpointAddress]] = defaultdict(set)
    for one in seen.endpoints:
        endpoints[one.namespace, one.service].update(one.addresses)
    services: list[Service] = []
    for life in lives(seen.services, seen.looks.values()):
        newest = life.values[0]
        addresses = dict.fromkeys(address for value in life.values for address in value.addresses)
        found = endpoints.pop((newest.namespace, newest.name), None) or _twin(services, newest)
        led_to = (newest.namespace, newest.name) in seen.ingress_backends
        services.append(
            replace(newest, addresses=tuple(addresses), endpoints=_sorted(found), ingress=led_to, ended=life.gone)
        )
    for (namespace, name), found in endpoints.items():
        notes[SERVICES_CONCLUDED] += 1
        services.append(Service(namespace=namespace, name=name, selector=None, endpoints=_sorted(found)))
    return sorted(services, key=lambda service: (service.namespace, service.name, service.started or 0))


def _twin(services: list[Service], service: Service) -> set[EndpointAddress]:
    """The endpoints of a Service of the same name that lived before or after: endpoints name no uid."""
    last = services[-1] if services else None
    same = last is not None and (last.namespace, last.name) == (service.namespace, service.name)
    return set(last.endpoints) if last is not None and same else set()


def _sorted(endpoints: set[EndpointAddress]) -> tuple[EndpointAddress, ...]:
    return tuple(sorted(endpoints, key=lambda one: (one.address.version, one.address.packed, one.pod, one.ports)))


def _workloads(seen: Collection, pods: list[Pod]) -> dict[WorkloadRef, Workload]:
    """Every controller that was given and every pod's workload: its own object tells most, its ReplicaSets the rest."""
    found: dict[WorkloadRef, tuple[bool, Workload]] = {}
    for life in lives(seen.workloads, seen.looks.values()):
        newest = life.values[0]
        own = WorkloadRef(namespace=newest.namespace, name=newest.name, kind=newest.kind)
        above = newest.owner
        ref = own if above is None else seen.owners.topmost(newest.namespace, above, newest.template_labels)
        if ref not in found or (ref == own and not found[ref][0]):
            found[ref] = (ref == own, newest.workload(ref))
    result = {ref: workload for ref, (_, workload) in found.items()}
    by_ref: dict[WorkloadRef, list[Pod]] = defaultdict(list)
    for pod in pods:
        by_ref[pod.workload].append(pod)
    for ref, members in by_ref.items():
        if ref not in result:
            bare = ref.kind == "Pod"
            result[ref] = Workload(
                ref=ref,
                template_labels=members[-1].labels if bare else {},
                ports=members[-1].ports if bare else (),
                host_network=all(pod.host_network for pod in members),
            )
    return dict(sorted(result.items()))


def _namespaces(
    seen: Collection,
    pods: list[Pod],
    services: list[Service],
    workloads: dict[WorkloadRef, Workload],
    notes: Counter[str],
) -> dict[str, Namespace]:
    """The namespaces declared, and those that objects live in; all with the label that the control plane sets."""
    found: dict[str, Namespace] = {}
    by_name: dict[str, dict[str, str]] = {}
    for life in lives(seen.namespaces, ()):
        by_name[life.uid.rpartition("/")[2]] = dict(life.values[0])
    used = {pod.namespace for pod in pods} | {one.namespace for one in services} | {ref.namespace for ref in workloads}
    notes[NAMESPACES_CONCLUDED] = len(used - by_name.keys())
    if not notes[NAMESPACES_CONCLUDED]:
        del notes[NAMESPACES_CONCLUDED]
    for name in sorted(used | by_name.keys()):
        found[name] = Namespace(name=name, labels={**by_name.get(name, {}), NAMESPACE_NAME_LABEL: name})
    return found
