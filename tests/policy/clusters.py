"""Random small clusters and policies as manifests, with every feature of the rules, and their way into the model."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from netpol.cluster.documents import Document
from netpol.dialects.read import read_policies
from netpol.model.flow import ICMP, SCTP, TCP, UDP
from netpol.model.inventory import ContainerPort, Inventory, Namespace, Node, Pod, WorkloadRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.model.policy import NetworkPolicy

Manifest = dict[str, Any]

PROTOCOLS = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP, "ICMP": ICMP}
PORTS = (79, 80, 81, 82, 443)
NAMESPACES = ("a", "b")
NODES = ("n1", "n2")
OUTSIDE = ("192.0.2.1", "10.0.9.9", "2001:db8::1")
_POD_ADDRESSES = (*(f"10.0.{node}.{host}" for node in (0, 1) for host in (1, 2, 3)), "fd00::1", "fd00::2", "fd00:1::1")
_BLOCKS = {
    "10.0.0.0/8": ("10.0.0.0/24", "10.0.1.0/24", "10.0.9.9/32"),
    "10.0.0.0/24": ("10.0.0.1/32", "10.0.0.2/31"),
    "10.0.0.1/32": (),
    "0.0.0.0/0": ("10.0.0.0/16", "192.0.2.0/24"),
    "192.0.2.0/24": ("192.0.2.1/32",),
    "172.16.0.1/32": (),
    "::/0": ("fd00::/16",),
    "fd00::/64": ("fd00::2/128",),
    "2001:db8::/32": (),
}
_NAMES = ("http", "metrics")
_VALUES = {"app": ("web", "db"), "env": ("prod", "")}


def _maybe(strategy: st.SearchStrategy[Any], **field: None) -> st.SearchStrategy[Manifest]:
    """The field with a value, or, less often, absent or null."""
    (name,) = field
    present = strategy.map(lambda value: {name: value})
    return st.integers(0, 7).flatmap(lambda draw: present if draw > 1 else st.just({} if draw else {name: None}))


def _some(items: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """One or two, less often none: hypothesis itself prefers short lists, and empty ones decide everything early."""
    return st.integers(0, 7).flatmap(lambda draw: st.lists(items, min_size=1, max_size=2) if draw else st.just([]))


def _joined(*parts: st.SearchStrategy[Manifest]) -> st.SearchStrategy[Manifest]:
    return st.tuples(*parts).map(lambda found: {key: value for part in found for key, value in part.items()})


def _labels() -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in _VALUES.items()})


def _expression(values: Mapping[str, tuple[str, ...]]) -> st.SearchStrategy[Manifest]:
    def with_operator(key: str) -> st.SearchStrategy[Manifest]:
        valued = st.fixed_dictionaries(
            {
                "key": st.just(key),
                "operator": st.sampled_from(["In", "NotIn"]),
                "values": st.lists(st.sampled_from([*values[key], "other"]), min_size=1, max_size=2),
            }
        )
        bare = st.fixed_dictionaries({"key": st.just(key), "operator": st.sampled_from(["Exists", "DoesNotExist"])})
        return valued | bare

    return st.sampled_from(sorted(values)).flatmap(with_operator)


def selectors(values: Mapping[str, tuple[str, ...]] = _VALUES) -> st.SearchStrategy[Manifest]:
    """A label selector; often empty."""
    labels = st.fixed_dictionaries({}, optional={key: st.sampled_from(found) for key, found in values.items()})
    return _joined(
        _maybe(labels, matchLabels=None), _maybe(st.lists(_expression(values), max_size=2), matchExpressions=None)
    )


def _namespace_selectors() -> st.SearchStrategy[Manifest]:
    return selectors({"env": _VALUES["env"], "kubernetes.io/metadata.name": NAMESPACES})


def _blocks() -> st.SearchStrategy[Manifest]:
    def with_exceptions(cidr: str) -> st.SearchStrategy[Manifest]:
        cuts = st.lists(st.sampled_from(_BLOCKS[cidr]), unique=True) if _BLOCKS[cidr] else st.just([])
        return _joined(st.just({"cidr": cidr}), _maybe(cuts, **{"except": None}))

    return st.sampled_from(sorted(_BLOCKS)).flatmap(with_exceptions)


def _peers() -> st.SearchStrategy[Manifest]:
    return st.one_of(
        st.fixed_dictionaries({"podSelector": selectors()}),
        st.fixed_dictionaries({"namespaceSelector": _namespace_selectors()}),
        st.fixed_dictionaries({"podSelector": selectors(), "namespaceSelector": _namespace_selectors()}),
        st.fixed_dictionaries({"ipBlock": _blocks()}),
    )


def _policy_ports() -> st.SearchStrategy[Manifest]:
    protocol = st.sampled_from([{}, {"protocol": "TCP"}, {"protocol": "UDP"}, {"protocol": "SCTP"}])
    place: st.SearchStrategy[Manifest] = st.one_of(
        st.just({}),
        st.sampled_from([{"port": port} for port in PORTS[:3]] + [{"port": name} for name in _NAMES]),
        st.sampled_from([{"port": 80, "endPort": last} for last in (80, 81, 400, 65535)]),
    )
    return _joined(protocol, place)


def _rules(peers: str) -> st.SearchStrategy[Manifest]:
    return _joined(
        _maybe(_some(_peers()), **{peers: None}),
        _maybe(_some(_policy_ports()), ports=None),
    )


def policies() -> st.SearchStrategy[list[Manifest]]:
    """Up to four policies with names of their own."""
    types = st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"], []])
    spec = _joined(
        _maybe(selectors(), podSelector=None),
        _maybe(types, policyTypes=None),
        _maybe(_some(_rules("from")), ingress=None),
        _maybe(_some(_rules("to")), egress=None),
    )
    one = st.tuples(st.sampled_from(NAMESPACES), spec)
    return st.lists(one, min_size=1, max_size=3).map(
        lambda found: [
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": f"p{number}", "namespace": namespace},
                "spec": spec,
            }
            for number, (namespace, spec) in enumerate(found)
        ]
    )


def _pods(number: int) -> st.SearchStrategy[Manifest]:
    port = _joined(
        st.sampled_from([{"containerPort": port} for port in PORTS[1:3]]),
        st.sampled_from([*({"name": name} for name in _NAMES), {"name": "http"}, {}]),
        st.sampled_from([{"protocol": "TCP"}, {}, {"protocol": "UDP"}, {"protocol": "SCTP"}]),
    )
    held = st.lists(st.sampled_from(_POD_ADDRESSES), max_size=2, unique=True)
    return st.fixed_dictionaries(
        {
            "metadata": st.fixed_dictionaries(
                {"namespace": st.sampled_from(NAMESPACES), "name": st.just(f"pod{number}"), "labels": _labels()}
            ),
            "spec": st.fixed_dictionaries(
                {
                    "nodeName": st.sampled_from(NODES),
                    "hostNetwork": st.sampled_from([False] * 5 + [True]),
                    "containers": _some(st.fixed_dictionaries({"ports": st.lists(port, min_size=1, max_size=3)})),
                }
            ),
            "status": st.fixed_dictionaries(
                {
                    "phase": st.sampled_from(["Running"] * 5 + ["Succeeded", "Failed"]),
                    "podIPs": held.map(lambda found: [{"ip": address} for address in found]),
                }
            ),
        }
    )


def clusters() -> st.SearchStrategy[Manifest]:
    """A few pods on two dual-stack nodes; addresses of finished pods may be in use again, and some pods have none."""
    namespaces = st.lists(
        st.tuples(st.sampled_from(NAMESPACES), st.sampled_from([{}, {"env": "prod"}, {"env": ""}])),
        unique_by=lambda x: x[0],
    )
    nodes = [
        {
            "metadata": {"name": name},
            "status": {"addresses": [{"address": f"172.16.0.{index}"}, {"address": f"fd99::{index}"}]},
        }
        for index, name in enumerate(NODES, start=1)
    ]
    return st.builds(
        lambda names, pods: {
            "namespaces": [{"metadata": {"name": name, "labels": labels}} for name, labels in names],
            "pods": [_on_node(pod, nodes) for pod in pods],
            "nodes": nodes,
        },
        namespaces,
        st.integers(3, 4).flatmap(lambda count: st.tuples(*(_pods(number) for number in range(count)))),
    )


def _on_node(pod: Manifest, nodes: list[Manifest]) -> Manifest:
    """A hostNetwork pod has its node's addresses."""
    if not pod["spec"]["hostNetwork"]:
        return pod
    (node,) = (node for node in nodes if node["metadata"]["name"] == pod["spec"]["nodeName"])
    held = [{"ip": item["address"]} for item in node["status"]["addresses"]]
    return {**pod, "status": {**pod["status"], "podIPs": held}}


def inventory(cluster: Manifest) -> Inventory:
    """The model of such manifests."""
    return Inventory(
        namespaces={
            item["metadata"]["name"]: Namespace(name=item["metadata"]["name"], labels=item["metadata"]["labels"])
            for item in cluster["namespaces"]
        },
        pods=tuple(_pod(item) for item in cluster["pods"]),
        nodes=tuple(
            Node(
                name=item["metadata"]["name"],
                addresses=tuple(ip_address(found["address"]) for found in item["status"]["addresses"]),
            )
            for item in cluster["nodes"]
        ),
    )


def _pod(item: Manifest) -> Pod:
    namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
    return Pod(
        uid=f"{namespace}/{name}",
        namespace=namespace,
        name=name,
        labels=item["metadata"].get("labels", {}),
        workload=WorkloadRef(namespace=namespace, name=name, kind="Pod"),
        addresses=tuple(ip_address(found["ip"]) for found in item["status"].get("podIPs", [])),
        node=item["spec"]["nodeName"],
        host_network=item["spec"].get("hostNetwork", False),
        ports=tuple(
            ContainerPort(
                protocol=PROTOCOLS[port.get("protocol", "TCP")], port=port["containerPort"], name=port.get("name", "")
            )
            for container in item["spec"].get("containers", [])
            for port in container.get("ports", [])
        ),
        finished=item["status"].get("phase") in {"Succeeded", "Failed"},
    )


def read(manifests: list[Manifest]) -> tuple[NetworkPolicy, ...]:
    """The policies, through the reader."""
    return read_policies(
        Document(("policies.yaml", f"document {number}"), data) for number, data in enumerate(manifests, start=1)
    ).policies
