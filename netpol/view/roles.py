"""What nodes are for, by which a picture can fold those that everyone has to do with."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from netpol.graph.reasons import Reason
from netpol.model.flow import TCP, UDP
from netpol.model.inventory import SYSTEM_NAMESPACES
from netpol.view.flow_graph import FlowEdge, Role, State
from netpol.view.gather import OTHERS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from netpol.model.inventory import Pod

DNS_PORT = 53

METRICS_NAMES = frozenset(
    {
        "alloy",
        "datadog-agent",
        "grafana-agent",
        "kube-state-metrics",
        "metrics-server",
        "node-exporter",
        "opentelemetry-collector",
        "otel-collector",
        "prometheus",
        "prometheus-node-exporter",
        "statsd-exporter",
        "telegraf",
        "victoria-metrics",
        "vmagent",
    }
)
"""By what such workloads call themselves in the labels that name an application."""

_NAMING_LABELS = ("app.kubernetes.io/name", "app", "k8s-app")
_DNS_NAMES = frozenset({"kube-dns", "coredns", "node-local-dns", "nodelocaldns"})

FEWEST_FOR_A_HUB = 8
"""A hub has to do with half of all workloads, and with at least so many."""


def roles_for(edges: Collection[FlowEdge], pods: Mapping[str, Iterable[Pod]]) -> Mapping[str, tuple[Role, ...]]:
    """The roles of every node that has any, sorted.

    Args:
        edges: All edges.
        pods: Of each workload, pods of it.
    """
    roles: defaultdict[str, set[Role]] = defaultdict(set)
    peers: defaultdict[str, set[str]] = defaultdict(set)
    for edge in edges:
        if edge.reason == Reason.SCAN.identifier:
            roles[edge.source].add(Role.SCANNER)
        if edge.state in {State.USED, State.NEW} and edge.sighting is not None:
            for end, other in ((edge.source, edge.destination), (edge.destination, edge.source)):
                if other in pods and end != other:
                    peers[end].add(other)
            if (UDP, DNS_PORT) in edge.ports or (TCP, DNS_PORT) in edge.ports:
                roles[edge.destination].add(Role.DNS)
    workloads = {end for edge in edges for end in (edge.source, edge.destination) if end in pods}
    for name in workloads:
        roles[name].update(_by_name(pods[name]))
    for name, others in peers.items():
        if name != OTHERS and len(others) >= max(FEWEST_FOR_A_HUB, len(workloads) / 2):
            roles[name].add(Role.HUB)
    return {name: tuple(sorted(found)) for name, found in roles.items() if found}


def _by_name(pods: Iterable[Pod]) -> Iterator[Role]:
    for pod in pods:
        names = {pod.labels.get(key, "") for key in _NAMING_LABELS}
        if pod.namespace in SYSTEM_NAMESPACES:
            yield Role.SYSTEM
        if names & _DNS_NAMES:
            yield Role.DNS
        if names & METRICS_NAMES:
            yield Role.METRICS
