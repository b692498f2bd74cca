"""NetworkPolicies out of documents: every error of all of them at once, other kinds passed over and counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netpol.dialects.read_fields import Field
from netpol.dialects.read_policy import read_policy
from netpol.errors import InputError
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.cluster.documents import Document
    from netpol.model.policy import NetworkPolicy

_GROUP, _VERSION = "networking.k8s.io", "networking.k8s.io/v1"
_REMOVED = frozenset({"extensions/v1beta1"})
_ERRORS_SHOWN, _LONGEST_KIND = 200, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDocuments:
    """What was read.

    Attributes:
        policies: In the order of the documents; no two of one namespace and name.
        places: Where each was found, in the same order: file, document, item.
        passed_over: Objects of other kinds, counted by kind; `kind.group` for a NetworkPolicy of another API.
    """

    policies: tuple[NetworkPolicy, ...]
    places: tuple[tuple[str, ...], ...]
    passed_over: Mapping[str, int] = field(default_factory=dict)


def read_policies(documents: Iterable[Document], *, namespace: str = "default") -> PolicyDocuments:
    """The NetworkPolicies among the documents.

    Args:
        documents: Parsed objects and where they were found.
        namespace: Of policies that name none, as `kubectl -n` gives it.

    Raises:
        InputError: At least one policy is invalid by the API server's own rules, is of an API version that is no
            more, or has the namespace and name of another. The message has a line for each problem: `file: document
            2: spec.ingress[0].ports[0].endPort: 70000 is above 65535; ports go from 1 to 65535`.
    """
    found: dict[tuple[str, str], tuple[NetworkPolicy, tuple[str, ...]]] = {}
    passed_over: Counter[str] = Counter()
    lines: list[str] = []
    for document in documents:
        kind = _kind(document)
        if kind:
            passed_over[kind] += 1
            continue
        problems: list[InputError] = []
        policy = _read(Field(document.data, "", problems), namespace)
        if policy is not None:
            key = (policy.namespace, policy.name)
            if key in found:
                first = ": ".join(map(_plain, found[key][1]))
                what = f"{policy.namespace}/{policy.name} is in {first} already"
                problems.append(InputError(what, where=("metadata.name",), remedy="Rename or remove one of them"))
            else:
                found[key] = (policy, document.place)
        lines += (_line(problem, document.place) for problem in problems)
    if lines:
        more = [f"and {len(lines) - _ERRORS_SHOWN} more errors"] if len(lines) > _ERRORS_SHOWN else []
        raise InputError("\n".join(lines[:_ERRORS_SHOWN] + more))
    return PolicyDocuments(
        policies=tuple(policy for policy, _ in found.values()),
        places=tuple(place for _, place in found.values()),
        passed_over=dict(sorted(passed_over.items())),
    )


def _read(root: Field, namespace: str) -> NetworkPolicy | None:
    version = root.value["apiVersion"]
    if version == _VERSION:
        return read_policy(root, namespace)
    removed = " was removed in Kubernetes 1.16" if version in _REMOVED else " is not known"
    root.child("apiVersion").note(f"{shown(version)}{removed} for NetworkPolicy", f"Use {_VERSION}")
    return None


def _kind(document: Document) -> str:
    """What to count the document as, empty for a NetworkPolicy of Kubernetes itself (of whatever version)."""
    kind, version = document.data.get("kind"), document.data.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        return "no kind"
    group = version.rpartition("/")[0]
    if kind != "NetworkPolicy":
        return _plain(kind[:_LONGEST_KIND])
    return "" if group == _GROUP or version in _REMOVED else _plain(f"{kind}.{group}"[:_LONGEST_KIND])


def _line(problem: InputError, place: tuple[str, ...]) -> str:
    where = ": ".join(_plain(part) for part in (*place, *problem.where))
    return f"{where}: {problem.what}" + (
        f"; {problem.remedy[:1].lower()}{problem.remedy[1:]}" if problem.remedy else ""
    )


def _plain(text: str) -> str:
    """Text from outside without quotes, control, formatting and bidirectional characters escaped."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
