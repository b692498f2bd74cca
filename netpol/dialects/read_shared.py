"""Metadata, label selectors and protocols out of a document: what NetworkPolicies and cluster-wide policies share.

Sources: the metadata and selector validation of apimachinery. What metadata holds for the API server only
(ownerReferences, managedFields, times) is not looked into.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.model.flow import SCTP, TCP, UDP
from netpol.model.labels import (
    LabelSelector,
    Operator,
    Requirement,
    check_label_key,
    check_label_value,
    check_value_count,
    parse_operator,
)
from netpol.model.policy import check_name
from netpol.model.text import shown

if TYPE_CHECKING:
    from netpol.dialects.read_fields import Field

METADATA = (
    "name",
    "namespace",
    "labels",
    "annotations",
    "generateName",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
    "selfLink",
)
_PROTOCOLS = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP}
_LARGEST_ANNOTATIONS = 256 << 10
"""`TotalAnnotationSizeLimitB`: all keys and values together."""


def read_name(metadata: Field) -> str:
    """The name of an object, empty after a problem."""
    field = metadata.child("name")
    name = field.text() or ""
    if name:
        field.accepts(check_name, name)
    elif field.absent or field.value == "":
        field.note(
            "a policy needs a name", "Give one; generateName makes one only when the API server creates the object"
        )
    return name


def read_labels(field: Field) -> dict[str, str]:
    """A map of labels, where each key and each value is checked."""
    labels = {}
    for key, item in field.pairs():
        value = item.text() or ""
        if field.accepts(check_label_key, key) and item.accepts(check_label_value, value):
            labels[key] = value
    return labels


def read_annotations(field: Field) -> dict[str, str]:
    """Like labels, but keys in any case, values of any text, and a limit on the sum of their bytes."""
    annotations = {}
    for key, item in field.pairs():
        field.accepts(check_label_key, key.lower())
        annotations[key] = item.text() or ""
    size = sum(len(text.encode(errors="replace")) for pair in annotations.items() for text in pair)
    if size > _LARGEST_ANNOTATIONS:
        field.note(f"{size} bytes are more than {_LARGEST_ANNOTATIONS}", "Shorten the annotations")
    return annotations


def read_selector(field: Field) -> LabelSelector:
    """A label selector; absent is the empty one. After a problem, what could be read of it."""
    field.expect_object("matchLabels", "matchExpressions")
    labels = read_labels(field.child("matchLabels"))
    read = [_read_requirement(item) for item in field.child("matchExpressions").items()]
    return LabelSelector(match_labels=labels, match_expressions=tuple(item for item in read if item is not None))


def _read_requirement(item: Field) -> Requirement | None:
    before = len(item.problems)
    item.expect_object("key", "operator", "values")
    key = item.child("key").text() or ""
    item.child("key").accepts(check_label_key, key)
    values = ["" if value.absent else value.text() or "" for value in item.child("values").items()]
    word = item.child("operator").text() or ""
    if item.child("operator").accepts(parse_operator, word):
        item.child("values").accepts(lambda count: check_value_count(Operator(word), count), len(values))
    for index, value in enumerate(item.child("values").items()):
        value.accepts(check_label_value, values[index])
    if len(item.problems) > before:
        return None
    return Requirement(key, Operator(word), tuple(values))


def read_protocol(field: Field) -> int:
    """The protocol's number; absent is TCP (`SetDefaults_NetworkPolicyPort`), the empty text is none."""
    name = field.text()
    if name is not None and name not in _PROTOCOLS:
        field.note(
            f"{shown(name)} is not a protocol that a NetworkPolicy can name", "Use TCP, UDP or SCTP, in capitals"
        )
    return _PROTOCOLS.get(name or "TCP", TCP)
