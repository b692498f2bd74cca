"""The fields of each kind that a snapshot keeps: those that netpol reads, and no other.

A list of what may pass, never of what must not: a field that nobody thought of, or that a later Kubernetes adds, stays
out. So do environment variables, volumes, images, commands, annotations and status messages.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from netpol.cluster.networks import RANGE_FLAGS, SYSTEM_NAMESPACE, TUNNEL_ANNOTATIONS
from netpol.cluster.safe_yaml import read_yaml
from netpol.cluster.services import SERVICE_NAME_LABEL
from netpol.cluster.workloads import GROUPS
from netpol.errors import InputError
from netpol.model.tiers import GROUP, TIER_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Keep = Callable[[Any], Any]
    """What is kept of a value: None where that is nothing, which readers take for an absent field."""


def scalar(value: Any) -> Any:
    """Text, a whole number or a boolean; a mapping or list is malformed there, and could hold anything."""
    return value if isinstance(value, str | int) else None


def whole(value: Any) -> Any:
    """Everything, an empty selector too."""
    return value


def scalars(value: Any) -> Any:
    """A list of texts or numbers."""
    kept = [item for item in value if scalar(item) is not None] if isinstance(value, list) else []
    return kept or None


def texts(value: Any) -> Any:
    """A mapping of texts: labels."""
    kept = {key: text for key, text in value.items() if isinstance(text, str)} if isinstance(value, dict) else {}
    return kept or None


def only(**fields: Keep) -> Keep:
    """These fields of a mapping, in this order; None where it has none of them."""
    return among(fields)


def among(fields: Mapping[str, Keep]) -> Keep:
    """The same for names that are no identifiers."""

    def keep(value: Any) -> Any:
        if not isinstance(value, dict):
            return None
        # Most fields are absent, most of all in status: only what is there is looked at further.
        found = {name: kept for name, of in fields.items() if name in value and (kept := of(value[name])) is not None}
        return found or None

    return keep


def each(of: Keep) -> Keep:
    """The items of a list that have something to keep."""

    def keep(value: Any) -> Any:
        kept = [one for item in value if (one := of(item)) is not None] if isinstance(value, list) else []
        return kept or None

    return keep


def every(of: Keep) -> Keep:
    """The items of a list, empty ones too: an endpoint port without any field is every port."""

    def keep(value: Any) -> Any:
        kept = [of(item) or {} for item in value if isinstance(item, dict)] if isinstance(value, list) else []
        return kept or None

    return keep


def label_selector(value: Any) -> Any:
    """A LabelSelector; the empty one, which selects everything, stays."""
    return (_SELECTOR(value) or {}) if isinstance(value, dict) else None


def range_flags(value: Any) -> Any:
    """Of a command line the words that state the cluster's ranges."""
    words = [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
    return [word for word in words if word.startswith(tuple(f"{flag}=" for flag in RANGE_FLAGS))] or None


def node_address(value: Any) -> Any:
    """An address of a Node, not its names."""
    kept = only(type=scalar, address=scalar)(value)
    return kept if kept and kept.get("type") in {"InternalIP", "ExternalIP"} else None


def embedded(**fields: Keep) -> Keep:
    """These fields of a configuration file inside a ConfigMap, written as JSON, which is YAML too.

    Raises:
        InputError: It is not YAML.
    """

    def keep(value: Any) -> Any:
        if not isinstance(value, str):
            return None
        try:
            first = next((found for found in read_yaml(value.encode()) if isinstance(found, dict)), None)
        except UnicodeEncodeError:
            raise InputError("is not text", remedy="Correct it in the cluster") from None
        kept = only(**fields)(first)
        return json.dumps(kept, sort_keys=True) if kept else None

    return keep


_SELECTOR = only(matchLabels=texts, matchExpressions=each(only(key=scalar, operator=scalar, values=scalars)))
_OWNERS = each(only(kind=scalar, name=scalar, controller=scalar))
_IDENTITY: Final[Mapping[str, Keep]] = {
    "name": scalar,
    "namespace": scalar,
    "uid": scalar,
    "creationTimestamp": scalar,
    "deletionTimestamp": scalar,
    "ownerReferences": _OWNERS,
}
_METADATA = among({**_IDENTITY, "labels": texts})
_TIMES = each(only(lastTransitionTime=scalar))
_CONTAINER_PORTS = every(only(name=scalar, containerPort=scalar, protocol=scalar))
_CONTAINER: Final[Mapping[str, Keep]] = {"ports": _CONTAINER_PORTS}
_FLAGS: Final[Mapping[str, Keep]] = {"command": range_flags, "args": range_flags}
_FINISHED = each(only(state=only(terminated=only(finishedAt=scalar))))


def _pod_spec(container: Mapping[str, Keep]) -> Keep:
    return only(
        nodeName=scalar,
        hostNetwork=scalar,
        containers=each(among(container)),
        initContainers=each(among({"restartPolicy": scalar, **_CONTAINER})),
    )


# When a pod ended is known from its containers, or from its conditions where none ever ran. Other times would only tell
# when the cluster was looked at, which a snapshot says itself.
_POD_STATUS = only(
    phase=scalar,
    startTime=scalar,
    podIP=scalar,
    podIPs=each(only(ip=scalar)),
    hostIP=scalar,
    hostIPs=each(only(ip=scalar)),
    conditions=_TIMES,
    containerStatuses=_FINISHED,
    initContainerStatuses=_FINISHED,
    ephemeralContainerStatuses=_FINISHED,
)
_TEMPLATE = only(metadata=only(labels=texts), spec=_pod_spec(_CONTAINER))
_TARGET = only(kind=scalar, namespace=scalar, name=scalar)
_ENDPOINT_PORTS = every(only(name=scalar, port=scalar, protocol=scalar))
_SUBSET_ADDRESSES = each(only(ip=scalar, targetRef=_TARGET))
_BACKEND = only(service=only(name=scalar))


def _object(spec: Keep | None = None, **fields: Keep) -> Keep:
    return only(metadata=_METADATA, **({"spec": spec} if spec else {}), **fields)


def _config(keys: Mapping[str, Keep]) -> Keep:
    return only(metadata=among(_IDENTITY), data=among(keys))


_WORKLOAD = _object(only(selector=label_selector, template=_TEMPLATE))
_RUN = _object(only(template=_TEMPLATE))
_WORKLOADS: Final[Mapping[str, Keep]] = {
    "ReplicationController": _object(only(selector=texts, template=_TEMPLATE)),
    "Job": _RUN,
    "CronJob": _object(only(jobTemplate=only(spec=only(template=_TEMPLATE)))),
}
_POLICY = _object(whole)

KEPT: Final[Mapping[tuple[str, str], Keep]] = {
    ("Namespace", ""): _object(),
    ("Node", ""): only(
        metadata=among(
            {**_IDENTITY, "labels": texts, "annotations": among(dict.fromkeys(TUNNEL_ANNOTATIONS, scalar))},
        ),
        spec=only(podCIDR=scalar, podCIDRs=scalars),
        status=only(addresses=each(node_address)),
    ),
    ("Pod", ""): _object(_pod_spec(_CONTAINER), status=_POD_STATUS),
    ("Service", ""): _object(
        only(
            type=scalar,
            clusterIP=scalar,
            clusterIPs=scalars,
            externalIPs=scalars,
            externalTrafficPolicy=scalar,
            selector=texts,
            ports=every(only(name=scalar, protocol=scalar, port=scalar, targetPort=scalar, nodePort=scalar)),
        ),
        status=only(loadBalancer=only(ingress=each(only(ip=scalar)))),
    ),
    ("Endpoints", ""): only(
        metadata=among(_IDENTITY),
        subsets=each(only(addresses=_SUBSET_ADDRESSES, notReadyAddresses=_SUBSET_ADDRESSES, ports=_ENDPOINT_PORTS)),
    ),
    ("EndpointSlice", "discovery.k8s.io"): only(
        metadata=among({**_IDENTITY, "labels": among({SERVICE_NAME_LABEL: scalar})}),
        addressType=scalar,
        ports=_ENDPOINT_PORTS,
        endpoints=each(only(addresses=scalars, targetRef=_TARGET)),
    ),
    **{(kind, group): _WORKLOADS.get(kind, _WORKLOAD) for kind, groups in GROUPS.items() for group in groups},
    ("Ingress", "networking.k8s.io"): only(
        metadata=among(_IDENTITY),
        spec=only(defaultBackend=_BACKEND, rules=each(only(http=only(paths=each(only(backend=_BACKEND)))))),
    ),
    ("ServiceCIDR", "networking.k8s.io"): _object(only(cidrs=scalars)),
    ("IPPool", "crd.projectcalico.org"): _object(only(cidr=scalar, disabled=scalar)),
    ("IPPool", "projectcalico.org"): _object(only(cidr=scalar, disabled=scalar)),
    ("NetworkPolicy", "networking.k8s.io"): _POLICY,
    **{(kind, GROUP): _POLICY for kind in TIER_KINDS},
}
"""By kind and API group; the order in which a snapshot has them. A kind that is not here is left out."""

KEPT_OF_SYSTEM_PODS: Final = _object(_pod_spec({**_CONTAINER, **_FLAGS}), status=_POD_STATUS)
"""In `SYSTEM_NAMESPACE`, where the control plane's own command lines state the cluster's ranges."""

KEPT_OF_CONFIGS: Final[Mapping[tuple[str, str], Keep]] = {
    (SYSTEM_NAMESPACE, "kubeadm-config"): _config(
        {"ClusterConfiguration": embedded(networking=only(podSubnet=scalar, serviceSubnet=scalar))}
    ),
    (SYSTEM_NAMESPACE, "kube-proxy"): _config({"config.conf": embedded(clusterCIDR=scalar)}),
    (SYSTEM_NAMESPACE, "cilium-config"): _config(
        dict.fromkeys(("cluster-pool-ipv4-cidr", "cluster-pool-ipv6-cidr"), scalar)
    ),
}
"""ConfigMaps by namespace and name; all others are left out."""
