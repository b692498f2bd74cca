"""The cluster snapshot: what `kubectl get pods,namespaces,services,endpointslices,nodes,... -A -o yaml` would print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from shoplab.description import NAMESPACES, NODES, SERVICES, suffix
from shoplab.workloads import Clock, Manifest, controllers_and_pods, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from shoplab.description import Node, Service, ServicePort
    from shoplab.scenario import Times

_ORDER = (
    "Pod",
    "Namespace",
    "Service",
    "EndpointSlice",
    "Node",
    "ReplicaSet",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
)


def snapshot(times: Times) -> str:
    """The whole cluster as one YAML List, in the order in which kubectl prints several kinds."""
    items = objects(Clock(started=times.started, runs=times.runs))
    items.sort(
        key=lambda item: (_ORDER.index(item["kind"]), item["metadata"].get("namespace", ""), item["metadata"]["name"])
    )
    whole = {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}
    # No aliases: kubectl writes every value out.
    dumper = yaml.SafeDumper
    dumper.ignore_aliases = lambda *_: True  # type: ignore[method-assign]
    return yaml.dump(whole, Dumper=dumper, width=1000)


def objects(clock: Clock) -> list[Manifest]:
    """Everything that the API server holds, owners before what they own."""
    return [
        *_namespaces(clock),
        *(_node(node, clock) for node in NODES),
        *controllers_and_pods(clock),
        *_network(clock),
    ]


def moment(time: datetime) -> str:
    """A time with microseconds, as netpol writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _namespaces(clock: Clock) -> Iterator[Manifest]:
    for name in NAMESPACES:
        data = metadata("Namespace", "", name, clock.installed, labels={"kubernetes.io/metadata.name": name})
        spec = {"finalizers": ["kubernetes"]}
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": data, "spec": spec, "status": {"phase": "Active"}}


def _node(node: Node, clock: Clock) -> Manifest:
    labels = {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux"}
    addresses = [{"address": node.address, "type": "InternalIP"}, {"address": node.name, "type": "Hostname"}]
    ready = {"lastTransitionTime": clock.installed, "reason": "KubeletReady", "status": "True", "type": "Ready"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata("Node", "", node.name, clock.installed, labels=labels),
        "spec": {"podCIDR": node.pod_cidrs[0], "podCIDRs": list(node.pod_cidrs)},
        "status": {"addresses": addresses, "conditions": [ready]},
    }


def _network(clock: Clock) -> Iterator[Manifest]:
    """Services with their EndpointSlices, and the one of the API server, which has no selector."""
    for service in SERVICES:
        yield _service(service, clock)
        yield _endpoint_slice(service, clock)
    labels = {"component": "apiserver", "provider": "kubernetes"}
    https = {"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata("Service", "default", "kubernetes", clock.installed, labels=labels),
        "spec": {**_cluster_ip("10.96.0.1"), "ports": [https], "type": "ClusterIP"},
        "status": {"loadBalancer": {}},
    }
    labels = {"kubernetes.io/service-name": "kubernetes"}
    yield {
        "addressType": "IPv4",
        "apiVersion": "discovery.k8s.io/v1",
        "endpoints": [{"addresses": [NODES[0].address], "conditions": {"ready": True}}],
        "kind": "EndpointSlice",
        "metadata": metadata("EndpointSlice", "default", "kubernetes", clock.installed, labels=labels),
        "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
    }


def _cluster_ip(address: str) -> Manifest:
    single = {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
    return {"clusterIP": address, "clusterIPs": [address], "internalTrafficPolicy": "Cluster", **single}


def _service(service: Service, clock: Clock) -> Manifest:
    spec = {**_cluster_ip(service.address), "ports": [_service_port(port) for port in service.ports]}
    spec |= {"selector": _selector(service), "sessionAffinity": "None", "type": "ClusterIP"}
    status: Manifest = {"loadBalancer": {}}
    if service.load_balancer:
        # Without source ranges and with Local the client's own address reaches the pod.
        spec |= {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31877}
        status["loadBalancer"] = {"ingress": [{"ip": service.load_balancer, "ipMode": "VIP"}]}
    data = metadata("Service", service.namespace, service.name, clock.installed, labels=_selector(service))
    return {"apiVersion": "v1", "kind": "Service", "metadata": data, "spec": spec, "status": status}


def _service_port(port: ServicePort) -> Manifest:
    node_port = {"nodePort": port.node_port} if port.node_port else {}
    return {"name": port.name, **node_port, "port": port.port, "protocol": port.protocol, "targetPort": port.target}


def _selector(service: Service) -> dict[str, str]:
    return dict(service.workload.selector if service.workload else service.selector)


def _endpoint_slice(service: Service, clock: Clock) -> Manifest:
    name = f"{service.name}-{suffix(5, 'slice', service.name)}"
    owner = {
        "apiVersion": "v1",
        "blockOwnerDeletion": True,
        "controller": True,
        "kind": "Service",
        "name": service.name,
    }
    service_uid = metadata("Service", service.namespace, service.name, "")["uid"]
    labels = {
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "kubernetes.io/service-name": service.name,
    }
    data = metadata("EndpointSlice", service.namespace, name, clock.installed, labels=labels)
    data["ownerReferences"] = [{**owner, "uid": service_uid}]
    # An empty slice has null for both lists, not [].
    endpoints = [_endpoint(service, address, clock) for address in _addresses(service)] or None
    ports = [
        {"name": port.name, "port": service.backends(port)[0][1], "protocol": port.protocol}
        for port in service.ports
        if service.backends(port)
    ] or None
    version = {"addressType": "IPv4", "apiVersion": "discovery.k8s.io/v1"}
    return {**version, "endpoints": endpoints, "kind": "EndpointSlice", "metadata": data, "ports": ports}


def _addresses(service: Service) -> list[str]:
    return [pod.address for pod, _ in service.backends(service.ports[0])]


def _endpoint(service: Service, address: str, clock: Clock) -> Manifest:
    pod = next(
        item
        for item in controllers_and_pods(clock)
        if item["kind"] == "Pod"
        and item["status"]["podIP"] == address
        and item["metadata"]["namespace"] == service.namespace
    )
    data = pod["metadata"]
    target = {"kind": "Pod", "name": data["name"], "namespace": data["namespace"], "uid": data["uid"]}
    conditions = {"ready": True, "serving": True, "terminating": False}
    return {"addresses": [address], "conditions": conditions, "nodeName": pod["spec"]["nodeName"], "targetRef": target}
