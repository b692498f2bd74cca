"""What documents of all dialects have in common: metadata, sides, and the marks of what was kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netpol.dialects.block import Noted
from netpol.dialects.kubernetes import KEPT_POLICY, KEPT_RULE
from netpol.dialects.translation import Written
from netpol.policy.merge_marks import KEPT, is_kept, kept_rules, rules_mark, whole_mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from netpol.dialects.block import Document, Value
    from netpol.model.policy import NetworkPolicy, Rule
    from netpol.policy.verdict import Way

CLOSED: Final[Mapping[str, str]] = {"ingress": "nobody may connect", "egress": "may connect to nobody"}
"""The comment of an isolated direction in which nothing is allowed."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The rules of the directions that a policy isolates.

    Attributes:
        rules: Each direction that is isolated, ingress first.
        kept: Direction and index of each rule that comes of one that was kept.
    """

    rules: Mapping[str, list[Value]]
    kept: tuple[tuple[Way, int], ...]


def sides(
    policy: NetworkPolicy,
    translate: Callable[[Way, Rule], Iterable[Document]],
    beyond: Callable[[Way], Iterable[Document]],
) -> Sides:
    """Both directions in another dialect.

    Args:
        policy: What to translate.
        translate: The rules of the dialect that one rule becomes.
        beyond: What the dialect adds in a direction.
    """
    rules: dict[str, list[Value]] = {}
    kept: list[tuple[Way, int]] = []
    marked = set(kept_rules(policy))
    written: tuple[tuple[Way, bool, tuple[Rule, ...]], ...] = (
        ("ingress", policy.isolates_ingress, policy.ingress),
        ("egress", policy.isolates_egress, policy.egress),
    )
    for way, isolated, found in written:
        if not isolated:
            continue
        items: list[Value] = []
        rules[way] = items
        for index, rule in enumerate(found):
            for document in translate(way, rule):
                if (way, index) in marked:
                    kept.append((way, len(items)))
                    items.append(Noted(document, KEPT_RULE.removeprefix("# ")))
                else:
                    items.append(document)
        items += beyond(way)
    return Sides(rules, tuple(kept))


def write(policy: NetworkPolicy, api: tuple[str, str], spec: Document, kept: Iterable[tuple[Way, int]]) -> Written:
    """The document with the policy's name, namespace, labels and annotations.

    The annotation that marks kept rules counts them as they stand in this document.

    Args:
        policy: Whose document it is.
        api: apiVersion and kind.
        spec: The document's spec.
        kept: The rules of the document that were kept.
    """
    whole = is_kept(policy)
    metadata: dict[str, Value] = {"name": policy.name, "namespace": policy.namespace}
    if policy.labels:
        metadata["labels"] = dict(sorted(policy.labels.items()))
    own = {key: value for key, value in policy.annotations.items() if key != KEPT}
    annotations = {**own, **(whole_mark() if whole else rules_mark(kept))}
    if annotations:
        metadata["annotations"] = dict(sorted(annotations.items()))
    return Written(
        namespace=policy.namespace,
        name=policy.name,
        document={"apiVersion": api[0], "kind": api[1], "metadata": metadata, "spec": spec},
        head=KEPT_POLICY.removeprefix("# ") if whole else "",
    )
