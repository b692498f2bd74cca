"""Label selectors in Cilium's words.

A label of a pod keeps its key. Its namespace is a label of the pod too (`io.kubernetes.pod.namespace`), and so are the
namespace's own labels, under a prefix; both come from the source `k8s`. A selector of a namespaced policy that speaks
of no namespace means the policy's own (docs.cilium.io, "Endpoints Based", "Namespaces").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.model.inventory import NAMESPACE_NAME_LABEL
from netpol.model.labels import Operator, Requirement

if TYPE_CHECKING:
    from netpol.dialects.block import Document, Value
    from netpol.model.labels import LabelSelector
    from netpol.model.policy import PodPeer

NAMESPACE: Final = "k8s:io.kubernetes.pod.namespace"
NAMESPACE_LABEL: Final = "k8s:io.cilium.k8s.namespace.labels."

_NEGATIVE = frozenset({Operator.NOT_IN, Operator.DOES_NOT_EXIST})
_ANY_POD = (NAMESPACE, Requirement(NAMESPACE_NAME_LABEL, Operator.EXISTS))


def endpoint_selector(selector: LabelSelector) -> Document:
    """The selector of a policy's own pods: Cilium adds the namespace."""
    return _document([(item.key, item) for item in selector.requirements])


def peer_selector(peer: PodPeer) -> Document:
    """The selector of a peer.

    Conditions on the namespace that only say what it is not would hold for what is no pod at all, the whole world
    among it: then a namespace is asked for, which every pod has.
    """
    pairs = [(item.key, item) for item in peer.pod_selector.requirements] if peer.pod_selector else []
    if peer.namespace_selector is not None:
        found = [(_namespace_key(item.key), item) for item in peer.namespace_selector.requirements]
        if all(item.operator in _NEGATIVE for _, item in found):
            found = [_ANY_POD, *found]
        pairs += found
    return _document(pairs)


def _namespace_key(key: str) -> str:
    return NAMESPACE if key == NAMESPACE_NAME_LABEL else f"{NAMESPACE_LABEL}{key}"


def _document(pairs: list[tuple[str, Requirement]]) -> Document:
    labels: dict[str, str] = {}
    expressions: list[Value] = []
    for key, item in pairs:
        if item.operator is Operator.IN and len(item.values) == 1 and key not in labels:
            labels[key] = item.values[0]
        else:
            values = {"values": list(item.values)} if item.values else {}
            expressions.append({"key": key, "operator": item.operator.value, **values})
    found: dict[str, Value] = {"matchLabels": labels} if labels else {}
    return {**found, "matchExpressions": expressions} if expressions else found
