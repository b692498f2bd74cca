"""Random small clusters and policies as manifests, with every feature of the rules, and their way into the model."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from netpol.cluster.documents import Document
from netpol.dialects.read import PolicyDocuments, read_policies
from netpol.model.flow import ICMP, SCTP, TCP, UDP
from netpol.model.inventory import ContainerPort, Inventory, Namespace, Node, Pod, WorkloadRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.model.policy import NetworkPolicy
    from netpol.model.tiers import Policy

Manifest = dict[str, Any]

PROTOCOLS = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP, "ICMP": ICMP}
PORTS = (79, 80, 81, 82, 443)
NAMESPACES = ("a", "b")
NODES = ("n1", "n2")
OUTSIDE = ("192.0.2.1", "10.0.9.9", "2001:db8::1")
POD_ADDRESSES = (*(f"10.0.{node}.{host}" for node in (0, 1) for host in (1, 2, 3)), "fd00::1", "fd00::2", "fd00:1::1")
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


def _subjects() -> st.SearchStrategy[Manifest]:
    """A subject, or a peer with selectors; often one that means everyone, so that the order of rules matters."""
    pods = st.fixed_dictionaries({"namespaceSelector": _namespace_selectors(), "podSelector": selectors()})
    return st.one_of(
        st.just({"namespaces": {}}),
        st.fixed_dictionaries({"namespaces": _namespace_selectors()}),
        st.fixed_dictionaries({"pods": pods}),
    )


def _outer_peers(*, domains: bool) -> st.SearchStrategy[Manifest]:
    """Peers that no ingress rule has."""
    networks = st.lists(st.sampled_from([*sorted(_BLOCKS), "10.0.1.3/24"]), min_size=1, max_size=2, unique=True)
    found = [st.fixed_dictionaries({"networks": networks}), st.fixed_dictionaries({"nodes": _zones()})]
    names = st.sampled_from([["example.com"], ["*.example.com", "db.a.svc.cluster.local"]])
    return st.one_of(*([st.fixed_dictionaries({"domainNames": names})] * 2 if domains else []), *found)


def _zones() -> st.SearchStrategy[Manifest]:
    return st.sampled_from([{}, {"matchLabels": {"zone": "n1"}}, {"matchLabels": {"zone": "n3"}}])


def _tier_ports(*, named: bool) -> st.SearchStrategy[Manifest]:
    """One item of `ports`, v1alpha1."""
    protocol = st.sampled_from([{}, {"protocol": "TCP"}, {"protocol": "UDP"}, {"protocol": "SCTP"}])
    number = _joined(protocol, st.sampled_from([{"port": port} for port in PORTS[:3]]))
    several = _joined(protocol, st.sampled_from([{"start": 80, "end": last} for last in (81, 400, 65535)]))
    found = [st.fixed_dictionaries({"portNumber": number}), st.fixed_dictionaries({"portRange": several})]
    names = st.sampled_from(_NAMES).map(lambda name: {"namedPort": name})
    return st.one_of(*found, *([names] if named else []))


def _protocol_matches(*, named: bool) -> st.SearchStrategy[Manifest]:
    """One item of `protocols`, v1alpha2."""
    place = st.sampled_from(
        [
            *({"number": port} for port in PORTS[:3]),
            *({"range": {"start": first, "end": last}} for first, last in ((80, 82), (1, 65535))),
        ]
    )
    found = st.tuples(st.sampled_from(["tcp", "udp", "sctp"]), place).map(
        lambda drawn: {drawn[0]: {"destinationPort": drawn[1]}}
    )
    names = st.sampled_from(_NAMES).map(lambda name: {"destinationNamedPort": name})
    return st.one_of(found, *([names] if named else []))


def _tier_rules(kind: str, way: str) -> st.SearchStrategy[Manifest]:
    """A rule; where some peer is no pod, none of its ports has a name."""
    field = "protocols" if kind == "ClusterNetworkPolicy" else "ports"
    ports = _protocol_matches if field == "protocols" else _tier_ports
    actions = ["Accept" if field == "protocols" else "Allow", "Deny"]
    actions += [] if kind == "BaselineAdminNetworkPolicy" else ["Pass"]

    def rules(*, outer: bool) -> st.SearchStrategy[Manifest]:
        peers = _subjects()
        if outer:
            peers |= _outer_peers(domains=kind != "BaselineAdminNetworkPolicy")
        listed = _maybe(st.lists(ports(named=not outer), min_size=1, max_size=2), **{field: None})
        name = "from" if way == "ingress" else "to"
        fields = st.fixed_dictionaries(
            {"action": st.sampled_from(["Deny", *actions]), name: st.lists(peers, min_size=1, max_size=2)}
        )
        # Ports are left out often: most rules of these policies are for all of them.
        return _joined(fields, st.booleans().flatmap(lambda some: listed if some else st.just({})))

    return rules(outer=False) if way == "ingress" else st.booleans().flatmap(lambda plain: rules(outer=not plain))


_TIER_KINDS = ("AdminNetworkPolicy", "ClusterNetworkPolicy", "ClusterNetworkPolicy", "BaselineAdminNetworkPolicy")


def _tier_policies(kind: str, number: int) -> st.SearchStrategy[Manifest]:
    rules = {
        way: st.lists(_tier_rules(kind, way), min_size=way == "egress", max_size=3) for way in ("ingress", "egress")
    }
    own: dict[str, st.SearchStrategy[Any]] = {}
    if kind != "BaselineAdminNetworkPolicy":
        own["priority"] = st.sampled_from([0, 5, 5, 1000])
    if kind == "ClusterNetworkPolicy":
        own["tier"] = st.sampled_from(["Admin", "Baseline"])
    name = "default" if kind == "BaselineAdminNetworkPolicy" else f"t{number}"
    version = "v1alpha2" if kind == "ClusterNetworkPolicy" else "v1alpha1"
    return st.fixed_dictionaries({"subject": _subjects(), **own, **rules}).map(
        lambda spec: {
            "apiVersion": f"policy.networking.k8s.io/{version}",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
    )


def tiers() -> st.SearchStrategy[list[Manifest]]:
    """Up to three cluster-wide policies of any kind."""
    several = st.lists(st.sampled_from(_TIER_KINDS), min_size=1, max_size=3)
    kinds = st.integers(0, 5).flatmap(lambda draw: st.just([]) if draw == 1 else several)
    found = kinds.flatmap(lambda names: st.tuples(*(_tier_policies(name, number) for number, name in enumerate(names))))
    # There is one BaselineAdminNetworkPolicy at most.
    return found.map(lambda some: list({(item["kind"], item["metadata"]["name"]): item for item in some}.values()))


def policy_sets() -> st.SearchStrategy[list[Manifest]]:
    """NetworkPolicies and, in most of the sets, cluster-wide policies."""
    return st.tuples(policies(), tiers()).map(lambda found: [*found[0], *found[1]])


def _pods(number: int) -> st.SearchStrategy[Manifest]:
    port = _joined(
        st.sampled_from([{"containerPort": port} for port in PORTS[1:3]]),
        st.sampled_from([*({"name": name} for name in _NAMES), {"name": "http"}, {}]),
        st.sampled_from([{"protocol": "TCP"}, {}, {"protocol": "UDP"}, {"protocol": "SCTP"}]),
    )
    held = st.lists(st.sampled_from(POD_ADDRESSES), max_size=2, unique=True)
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
            "metadata": {"name": name, "labels": {"zone": name}},
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
                labels=item["metadata"].get("labels", {}),
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
    """The NetworkPolicies, through the reader."""
    return _read(manifests).policies


def read_set(manifests: list[Manifest]) -> tuple[Policy, ...]:
    """All policies, through the reader."""
    return _read(manifests).everything


def _read(manifests: list[Manifest]) -> PolicyDocuments:
    return read_policies(
        Document(("policies.yaml", f"document {number}"), data) for number, data in enumerate(manifests, start=1)
    )
