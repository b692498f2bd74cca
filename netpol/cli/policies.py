"""Policy sets out of files and folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.cli.observe import note, paths_of
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.model.policy import NetworkPolicy
    from netpol.review.findings import Written


def read_policy_set(words: Sequence[str]) -> tuple[NetworkPolicy, ...]:
    """The policies of `read_written` without their places."""
    return tuple(written.policy for written in read_written(words))


def read_written(words: Sequence[str]) -> tuple[Written, ...]:
    """All NetworkPolicies in the files and folders, with their places; other kinds are counted on stderr.

    Raises:
        InputError: A file cannot be read, a policy is invalid, or there is none.
    """
    from netpol.cluster.documents import read_documents
    from netpol.dialects.read import read_policies
    from netpol.review.findings import Written

    documents = list(read_documents(paths_of(words)))
    found = read_policies(documents)
    if found.passed_over:
        kinds = ", ".join(f"{count} {kind}" for kind, count in found.passed_over.items())
        note(f"passed over, since they are no NetworkPolicy: {kinds}")
    if not found.policies:
        raise InputError("holds no NetworkPolicy", where=tuple(words[:1]), remedy="Name files with policies")
    contents = {document.place: document.data for document in documents}
    return tuple(
        Written(policy=policy, place=place, data=contents[place])
        for policy, place in zip(found.policies, found.places, strict=True)
    )
