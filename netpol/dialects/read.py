"""Policies out of documents: every error of all of them at once, other kinds passed over and counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netpol.dialects.read_fields import Field
from netpol.dialects.read_policy import read_policy
from netpol.dialects.read_tier import read_tier_policy
from netpol.errors import InputError
from netpol.model.text import shown
from netpol.model.tiers import GROUP, TIER_KINDS, TierPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from netpol.cluster.documents import Document
    from netpol.model.policy import NetworkPolicy
    from netpol.model.tiers import Policy

_GROUP, _VERSION = "networking.k8s.io", "networking.k8s.io/v1"
_REMOVED = frozenset({"extensions/v1beta1"})
_ERRORS_SHOWN, _LONGEST_KIND = 200, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDocuments:
    """What was read.

    Attributes:
        policies: In the order of the documents; no two of one namespace and name.
        places: Where each was found, in the same order: file, document, item.
        tiers: The cluster-wide policies, in the order of the documents; no two of one kind and name.
        tier_places: Where each of those was found.
        passed_over: Objects of other kinds, counted by kind; `kind.group` for a kind of the same name of another API.
    """

    policies: tuple[NetworkPolicy, ...]
    places: tuple[tuple[str, ...], ...]
    tiers: tuple[TierPolicy, ...] = ()
    tier_places: tuple[tuple[str, ...], ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)

    @property
    def everything(self) -> tuple[Policy, ...]:
        """The whole policy set, as judges take it."""
        return (*self.tiers, *self.policies)


def read_policies(documents: Iterable[Document], *, namespace: str = "default") -> PolicyDocuments:
    """The NetworkPolicies and cluster-wide policies among the documents.

    Args:
        documents: Parsed objects and where they were found.
        namespace: Of NetworkPolicies that name none, as `kubectl -n` gives it.

    Raises:
        InputError: At least one policy is invalid by the API server's own rules, is of an API version that is no
            more, or has the namespace and name of another. The message has a line for each problem: `file: document
            2: spec.ingress[0].ports[0].endPort: 70000 is above 65535; ports go from 1 to 65535`.
    """
    found: dict[str, tuple[Policy, tuple[str, ...]]] = {}
    passed_over: Counter[str] = Counter()
    lines: list[str] = []
    for document in documents:
        problems: list[InputError] = []
        read = _reader(document)
        if isinstance(read, str):
            passed_over[read] += 1
            continue
        policy = read(Field(document.data, "", problems), namespace)
        if policy is not None:
            if str(policy) in found:
                first = ": ".join(map(_plain, found[str(policy)][1]))
                what = f"{policy} is in {first} already"
                problems.append(InputError(what, where=("metadata.name",), remedy="Rename or remove one of them"))
            else:
                found[str(policy)] = (policy, document.place)
        lines += (_line(problem, document.place) for problem in problems)
    if lines:
        more = [f"and {len(lines) - _ERRORS_SHOWN} more errors"] if len(lines) > _ERRORS_SHOWN else []
        raise InputError("\n".join(lines[:_ERRORS_SHOWN] + more))
    policies = [(policy, place) for policy, place in found.values() if not isinstance(policy, TierPolicy)]
    tiers = [(policy, place) for policy, place in found.values() if isinstance(policy, TierPolicy)]
    return PolicyDocuments(
        policies=tuple(policy for policy, _ in policies),
        places=tuple(place for _, place in policies),
        tiers=tuple(policy for policy, _ in tiers),
        tier_places=tuple(place for _, place in tiers),
        passed_over=dict(sorted(passed_over.items())),
    )


def is_policy(document: Document) -> bool:
    """Whether `read_policies` takes it for a policy, of whatever version, and so valid or not."""
    return not isinstance(_reader(document), str)


def _reader(document: Document) -> Callable[[Field, str], Policy | None] | str:
    """What reads the document, or what to count it as."""
    kind, version = document.data.get("kind"), document.data.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        return "no kind"
    group = version.rpartition("/")[0]
    if kind == "NetworkPolicy" and (group == _GROUP or version in _REMOVED):
        return _read
    if kind in TIER_KINDS and group == GROUP:
        return _read_tier
    ours = kind == "NetworkPolicy" or kind in TIER_KINDS
    return _plain((f"{kind}.{group}" if ours else kind)[:_LONGEST_KIND])


def _read(root: Field, namespace: str) -> NetworkPolicy | None:
    version = root.value["apiVersion"]
    if version == _VERSION:
        return read_policy(root, namespace)
    removed = " was removed in Kubernetes 1.16" if version in _REMOVED else " is not known"
    root.child("apiVersion").note(f"{shown(version)}{removed} for NetworkPolicy", f"Use {_VERSION}")
    return None


def _read_tier(root: Field, _: str) -> TierPolicy | None:
    kind, version = TIER_KINDS[root.value["kind"]], root.value["apiVersion"]
    if version == kind.api_version:
        return read_tier_policy(root, kind)
    root.child("apiVersion").note(f"{shown(version)} is not known for {kind.name}", f"Use {kind.api_version}")
    return None


def _line(problem: InputError, place: tuple[str, ...]) -> str:
    where = ": ".join(_plain(part) for part in (*place, *problem.where))
    return f"{where}: {problem.what}" + (
        f"; {problem.remedy[:1].lower()}{problem.remedy[1:]}" if problem.remedy else ""
    )


def _plain(text: str) -> str:
    """Text from outside without quotes, control, formatting and bidirectional characters escaped."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
