"""What a cluster holds, as far as network policy can see it: namespaces, pods, their workloads, services and nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.model.flow import Address
    from netpol.model.labels import LabelSelector

SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})
"""Peers of others, but without policies of their own unless asked for."""

NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
"""The control plane sets it on every namespace (KEP-2161)."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class WorkloadRef:
    """The topmost controller of a pod, or the pod itself when nothing controls it."""

    namespace: str
    name: str
    kind: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}[{self.kind}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPort:
    """A declared port of a container; `name` is empty where the manifest gives none.

    Attributes:
        protocol: IP protocol number: TCP, UDP or SCTP.
    """

    protocol: int
    port: int
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A namespace and its labels, `kubernetes.io/metadata.name` always among them."""

    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod as policies see it.

    Attributes:
        uid: The API server's, or `namespace/name` where a manifest carries none.
        addresses: All of status.podIPs; for a hostNetwork pod the node's own.
        node: spec.nodeName, empty when not scheduled.
        ports: containerPorts of spec.containers and of restartable init containers.
        finished: The phase is Succeeded or Failed: it holds no address any more.
        started: Nanoseconds since the epoch at which it can first have held its address, None when nothing says.
        ended: Nanoseconds since the epoch at which it was gone or finished, None when it was there at the last look.
    """

    uid: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    workload: WorkloadRef
    addresses: tuple[Address, ...] = ()
    node: str = ""
    host_network: bool = False
    ports: tuple[ContainerPort, ...] = ()
    finished: bool = False
    started: int | None = None
    ended: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A controller with what it says about the pods that it makes.

    Attributes:
        selector: The controller's own spec.selector, None for bare pods, Jobs and where the manifest was not given.
        template_labels: Labels of its pod template, empty where the manifest was not given.
        ports: Declared ports of its pod template.
        host_network: Its pods live in the node's network namespace.
    """

    ref: WorkloadRef
    selector: LabelSelector | None = None
    template_labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[ContainerPort, ...] = ()
    host_network: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """One port of a Service.

    Attributes:
        target: The pod's port as a number or a name; a Service without targetPort targets its own number.
        node_port: 0 where there is none.
    """

    protocol: int
    port: int
    target: int | str
    name: str = ""
    node_port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointAddress:
    """One ready or serving endpoint of an EndpointSlice or an Endpoints object.

    Attributes:
        pod: `namespace/name` of the pod behind it, empty for endpoints that are no pods (the API server's, for one).
        ports: (IP protocol number, port name, port number) of each endpoint port.
    """

    address: Address
    pod: str = ""
    ports: tuple[tuple[int, str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A Service with its virtual addresses and, where they were given, its endpoints.

    Attributes:
        selector: None for a selector-less Service (whose endpoints someone else maintains).
        addresses: ClusterIPs, load-balancer addresses and external IPs; empty for a headless Service.
        endpoints: From EndpointSlices and Endpoints.
        external: Of type LoadBalancer or NodePort, or with external IPs: reachable from outside.
        preserves_client: externalTrafficPolicy Local keeps the client's address.
        ingress: An Ingress leads to it, of whatever controller.
        started: Nanoseconds since the epoch at which it was created, None when the manifest does not say.
        ended: Nanoseconds since the epoch at which it was gone, None when it was there at the last look.
    """

    namespace: str
    name: str
    selector: Mapping[str, str] | None
    addresses: tuple[Address, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    endpoints: tuple[EndpointAddress, ...] = ()
    external: bool = False
    preserves_client: bool = False
    ingress: bool = False
    started: int | None = None
    ended: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node with its addresses (InternalIP, ExternalIP, a network plugin's tunnel) and pod CIDRs.

    Attributes:
        labels: Only cluster-wide policies select nodes; empty where its own manifest was not given.
        started: Nanoseconds since the epoch at which it joined, None when nothing says.
        ended: Nanoseconds since the epoch at which it was gone, None when it was there at the last look.
    """

    name: str
    addresses: tuple[Address, ...] = ()
    pod_cidrs: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    started: int | None = None
    ended: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All of a cluster, over the whole time that was looked at: a pod that came and went is in it once.

    Attributes:
        passed_over: Objects of kinds that network policy does not look at, counted by kind.
        pod_cidrs: Ranges of pod addresses that the cluster's configuration states, the nodes' own among them, sorted.
        service_cidrs: The same for ClusterIPs.
        notes: What was concluded rather than read, counted by what it was: undeclared namespaces, for one.
    """

    namespaces: Mapping[str, Namespace]
    pods: tuple[Pod, ...] = ()
    workloads: Mapping[WorkloadRef, Workload] = field(default_factory=dict)
    services: tuple[Service, ...] = ()
    nodes: tuple[Node, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)
    pod_cidrs: tuple[str, ...] = ()
    service_cidrs: tuple[str, ...] = ()
    notes: Mapping[str, int] = field(default_factory=dict)
