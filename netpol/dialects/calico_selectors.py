"""Label selectors as expressions of Calico (docs.tigera.io, NetworkPolicy, "Selectors").

`not in` and `!has` also match where the label is absent, like NotIn and DoesNotExist. String literals know no escape;
the values of labels need none. Keys are allowed letters, digits, `_`, `.`, `/` and `-`, which holds for every label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.model.inventory import NAMESPACE_NAME_LABEL
from netpol.model.labels import Operator

if TYPE_CHECKING:
    from netpol.dialects.block import Document
    from netpol.model.labels import LabelSelector, Requirement
    from netpol.model.policy import PodPeer

NAMESPACE_NAME: Final = "projectcalico.org/name"
"""The label that Calico gives each namespace."""

IS_POD: Final = "projectcalico.org/orchestrator == 'k8s'"
"""Holds for pods, and not for network sets, which selectors match too."""

_POSITIVE = frozenset({Operator.IN, Operator.EXISTS})


def subject(selector: LabelSelector) -> str:
    """The selector of a policy's own pods."""
    return _conjunction(selector) or "all()"


def entity(peer: PodPeer) -> Document:
    """The selectors of a peer: without a namespaceSelector, the policy's own namespace is meant.

    A selector that only says what a pod is not, or nothing, is told to mean pods.
    """
    pods = _conjunction(peer.pod_selector) if peer.pod_selector is not None else ""
    positive = peer.pod_selector is not None and any(
        item.operator in _POSITIVE for item in peer.pod_selector.requirements
    )
    if not positive:
        pods = f"{IS_POD} && {pods}" if pods else IS_POD
    if peer.namespace_selector is None:
        return {"selector": pods}
    return {"selector": pods, "namespaceSelector": _conjunction(peer.namespace_selector, namespaces=True) or "all()"}


def _conjunction(selector: LabelSelector, *, namespaces: bool = False) -> str:
    return " && ".join(_condition(item, namespaces=namespaces) for item in selector.requirements)


def _condition(item: Requirement, *, namespaces: bool) -> str:
    key = NAMESPACE_NAME if namespaces and item.key == NAMESPACE_NAME_LABEL else item.key
    if item.operator is Operator.EXISTS:
        return f"has({key})"
    if item.operator is Operator.DOES_NOT_EXIST:
        return f"!has({key})"
    if item.operator is Operator.IN and len(item.values) == 1:
        return f"{key} == '{item.values[0]}'"
    values = ", ".join(f"'{value}'" for value in item.values)
    return f"{key} {'in' if item.operator is Operator.IN else 'not in'} {{ {values} }}"
