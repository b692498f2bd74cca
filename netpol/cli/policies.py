"""Policy sets out of files and folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.cli.observe import note, paths_of
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.model.policy import NetworkPolicy


def read_policy_set(words: Sequence[str]) -> tuple[NetworkPolicy, ...]:
    """All NetworkPolicies in the files and folders; other kinds are passed over and counted on stderr.

    Raises:
        InputError: A file cannot be read, a policy is invalid, or there is none.
    """
    from netpol.cluster.documents import read_documents
    from netpol.dialects.read import read_policies

    found = read_policies(read_documents(paths_of(words)))
    if found.passed_over:
        kinds = ", ".join(f"{count} {kind}" for kind, count in found.passed_over.items())
        note(f"passed over, since they are no NetworkPolicy: {kinds}")
    if not found.policies:
        raise InputError("holds no NetworkPolicy", where=tuple(words[:1]), remedy="Name files with policies")
    return found.policies
