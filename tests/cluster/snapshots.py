"""Random clusters as the API server prints them, with every field that netpol reads and some that it does not."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.cluster.objects import at

Objects = list[dict[str, Any]]

TAKEN = "2026-01-01T12:59:59Z"
_NAMES = st.sampled_from(["web", "api", "db", "web-5d4f", "report-29000000"])
_NAMESPACES = st.sampled_from(["shop", "data", "kube-system"])
_TIMES = st.integers(0, 3000).map(at)
_PODS = st.integers(1, 250).map(lambda host: f"10.244.{host % 3}.{host}")
_ADDRESSES = st.one_of(_PODS, st.integers(1, 9).map(lambda host: f"2001:db8::{host}"))
_LABELS = st.dictionaries(
    st.sampled_from(["app", "tier", "pod-template-hash", "deploymentconfig", "example.com/track"]),
    st.sampled_from(["web", "api", "5d4f", ""]),
    max_size=3,
)
_PROTOCOLS = st.sampled_from(["TCP", "UDP", "SCTP"])
_PORTS = st.integers(1, 65535)
_NODES = {"w1": ["192.168.0.1", "2001:db8:1::1"], "w2": ["192.168.0.2"]}
_KINDS = st.sampled_from(["ReplicaSet", "Deployment", "Job", "CronJob", "StatefulSet", "Node", "Rollout"])
_JUNK = {"env": [{"name": "TOKEN", "value": "x"}], "message": "x", "annotations": {"a/b": "c"}, "resources": {}}


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping with any of these fields, some of them null, and sometimes with fields that nothing reads."""
    known = st.fixed_dictionaries({}, optional={name: st.none() | of for name, of in fields.items()})
    return st.builds(lambda some, junk: {**(_JUNK if junk else {}), **some}, known, st.booleans())


def _with(required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> Any:
    return st.builds(lambda some, fixed: {**some, **fixed}, _optional(**optional), st.fixed_dictionaries(required))


def _few(of: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, max_size=2)


_OWNERS = _few(_with({"kind": _KINDS, "name": _NAMES}, controller=st.booleans()))
_METADATA: dict[str, st.SearchStrategy[Any]] = {
    "labels": _LABELS,
    "creationTimestamp": _TIMES,
    "ownerReferences": _OWNERS,
    "annotations": st.just({"kubectl.kubernetes.io/last-applied-configuration": "{}"}),
}
_EXPRESSIONS = _few(
    st.one_of(
        _with({"key": st.just("app"), "operator": st.just("In"), "values": st.just(["web", "api"])}),
        _with({"key": st.just("tier"), "operator": st.sampled_from(["Exists", "DoesNotExist"])}, values=st.just([])),
    )
)
_SELECTORS = _optional(matchLabels=_LABELS, matchExpressions=_EXPRESSIONS)
_CONTAINERS = _few(
    _optional(
        name=_NAMES,
        image=st.just("x"),
        restartPolicy=st.just("Always"),
        ports=_few(_with({"containerPort": _PORTS}, name=st.just("http"), protocol=_PROTOCOLS)),
        command=_few(st.sampled_from(["--cluster-cidr=10.244.0.0/16", "--cluster-cidr", "--token=x"])),
        args=_few(st.sampled_from(["--service-cluster-ip-range=10.96.0.0/16,2001:db8:2::/112", "x"])),
    )
)
_ANY_STATE = _optional(
    running=_optional(startedAt=_TIMES), terminated=_optional(startedAt=_TIMES, finishedAt=_TIMES, reason=st.just("x"))
)
_STATUSES = _few(_optional(state=_ANY_STATE, lastState=_ANY_STATE, imageID=st.just("x")))
_POD_SPEC = _optional(containers=_CONTAINERS, initContainers=_CONTAINERS, hostNetwork=st.booleans())
_TEMPLATES = _optional(metadata=_optional(labels=_LABELS), spec=_POD_SPEC)
_TARGETS = _with({"name": _NAMES}, kind=st.sampled_from(["Pod", "Node"]), namespace=_NAMESPACES)
_ENDPOINT_PORTS = _few(_optional(name=st.just("http"), port=st.just(0) | _PORTS, protocol=_PROTOCOLS))


def _object(kind: str, version: str, *, cluster: bool = False, **fields: st.SearchStrategy[Any]) -> Any:
    identity = {"name": _NAMES} if cluster else {"name": _NAMES, "namespace": _NAMESPACES}
    metadata = _with(identity, uid=st.uuids().map(str), **_METADATA)
    if kind == "Pod":
        metadata = _with(identity, uid=st.uuids().map(str), deletionTimestamp=_TIMES, **_METADATA)
    return _with({"apiVersion": st.just(version), "kind": st.just(kind), "metadata": metadata}, **fields)


@st.composite
def _pods(draw: st.DrawFn) -> dict[str, Any]:
    status = _optional(
        phase=st.sampled_from(["Running", "Pending", "Succeeded", "Failed"]),
        startTime=_TIMES,
        podIP=_ADDRESSES,
        podIPs=_few(_optional(ip=_ADDRESSES)),
        conditions=_few(_optional(lastTransitionTime=_TIMES, type=st.just("Ready"))),
        containerStatuses=_STATUSES,
        initContainerStatuses=_STATUSES,
        ephemeralContainerStatuses=_STATUSES,
    )
    pod: dict[str, Any] = draw(_object("Pod", "v1", spec=_POD_SPEC, status=status))
    if draw(st.booleans()):
        # Pods of one node report the same addresses, in the same order: they are the node's.
        node = draw(st.sampled_from(sorted(_NODES)))
        hosts = {"hostIP": _NODES[node][0], "hostIPs": [{"ip": address} for address in _NODES[node]]}
        pod["spec"] = {**(pod.get("spec") or {}), "nodeName": node}
        pod["status"] = {**(pod.get("status") or {}), **hosts}
    return pod


_SERVICES = _object(
    "Service",
    "v1",
    spec=_optional(
        type=st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]),
        clusterIP=st.sampled_from(["None", "10.96.0.5", ""]),
        clusterIPs=_few(st.just("10.96.0.5") | st.just("2001:db8:2::5")),
        externalIPs=_few(st.just("198.51.100.7")),
        externalName=st.just("example.com"),
        externalTrafficPolicy=st.sampled_from(["Local", "Cluster"]),
        selector=_LABELS,
        ports=_few(
            _with({"port": _PORTS}, name=st.just("http"), protocol=_PROTOCOLS, targetPort=_PORTS | st.just("http"))
        ),
    ),
    status=_optional(
        loadBalancer=_optional(ingress=_few(_optional(ip=st.just("198.51.100.8"), hostname=st.just("x"))))
    ),
)
_SLICES = st.builds(
    lambda item, name: {**item, "metadata": {**item["metadata"], "labels": {"kubernetes.io/service-name": name}}},
    _object(
        "EndpointSlice",
        "discovery.k8s.io/v1",
        addressType=st.just("IPv4"),
        ports=_ENDPOINT_PORTS,
        endpoints=_few(_optional(addresses=_few(_PODS), targetRef=_TARGETS, hostname=st.just("x"))),
    ),
    _NAMES,
)
_SUBSET_ADDRESSES = _few(_optional(ip=_PODS, targetRef=_TARGETS))
_ENDPOINTS = _object(
    "Endpoints",
    "v1",
    subsets=_few(_optional(addresses=_SUBSET_ADDRESSES, notReadyAddresses=_SUBSET_ADDRESSES, ports=_ENDPOINT_PORTS)),
)
_BACKENDS = _optional(service=_optional(name=_NAMES, port=st.just({"number": 80})), resource=st.just({"kind": "x"}))
_INGRESSES = _object(
    "Ingress",
    "networking.k8s.io/v1",
    spec=_optional(
        defaultBackend=_BACKENDS,
        rules=_few(_optional(host=st.just("x"), http=_optional(paths=_few(_optional(backend=_BACKENDS))))),
        tls=st.just([{"secretName": "x"}]),
    ),
)
_NODES_SEEN = _object(
    "Node",
    "v1",
    cluster=True,
    spec=_optional(podCIDR=st.just("10.244.1.0/24"), podCIDRs=_few(st.just("10.244.1.0/24"))),
    status=_optional(
        addresses=_few(
            _with({"type": st.sampled_from(["InternalIP", "ExternalIP"])}, address=_ADDRESSES)
            | st.just({"type": "Hostname", "address": "w1"})
        ),
        conditions=_few(_optional(lastHeartbeatTime=_TIMES)),
    ),
)


def _selecting(kind: str, version: str) -> Any:
    spec = _with({"selector": _SELECTORS}, template=_TEMPLATES, replicas=st.just(2))
    return _with(
        {
            "apiVersion": st.just(version),
            "kind": st.just(kind),
            "metadata": _with({"name": _NAMES, "namespace": _NAMESPACES}, **_METADATA),
            "spec": spec,
        }
    )


_CONTROLLERS = st.one_of(
    *(_selecting(kind, "apps/v1") for kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")),
    _object("ReplicationController", "v1", spec=_optional(selector=_LABELS, template=_TEMPLATES)),
    _object("Job", "batch/v1", spec=_optional(template=_TEMPLATES)),
    _object("CronJob", "batch/v1", spec=_optional(jobTemplate=_optional(spec=_optional(template=_TEMPLATES)))),
)
_KUBEADM = "apiServer: {extraArgs: {token: x}}\nnetworking: {podSubnet: 10.245.0.0/16, serviceSubnet: 10.97.0.0/16}\n"
_CONFIGS = st.sampled_from(
    [
        ("kubeadm-config", {"ClusterConfiguration": _KUBEADM, "other": "x"}),
        ("kube-proxy", {"config.conf": "clusterCIDR: 10.246.0.0/16\nmode: x\n---\nclusterCIDR: 10.0.0.0/8\n"}),
        ("kube-proxy", {"config.conf": ""}),
        ("cilium-config", {"cluster-pool-ipv4-cidr": "10.247.0.0/16 10.248.0.0/16", "debug": "x"}),
    ]
).map(
    lambda found: {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": found[0], "namespace": "kube-system"},
        "data": found[1],
    }
)
_RANGES = st.one_of(
    _object("ServiceCIDR", "networking.k8s.io/v1", cluster=True, spec=_optional(cidrs=_few(st.just("10.98.0.0/16")))),
    _object(
        "IPPool",
        "crd.projectcalico.org/v1",
        cluster=True,
        spec=_optional(cidr=st.just("10.249.0.0/16"), disabled=st.booleans()),
    ),
)
_EVERYTHING = st.one_of(
    _pods(),
    _pods(),
    _SERVICES,
    _SLICES,
    _ENDPOINTS,
    _INGRESSES,
    _NODES_SEEN,
    _CONTROLLERS,
    _CONTROLLERS,
    _CONFIGS,
    _RANGES,
    _object("Namespace", "v1", cluster=True),
)


def _identity(item: dict[str, Any]) -> tuple[str, str, str]:
    metadata = item["metadata"]
    return item["kind"], metadata.get("namespace", ""), metadata["name"]


CLUSTERS: st.SearchStrategy[Objects] = st.lists(_EVERYTHING, max_size=12, unique_by=_identity)
"""The objects of one cluster: no two of one kind have the same name, as in the API."""
