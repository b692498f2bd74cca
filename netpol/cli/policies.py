"""Policy sets out of files and folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from netpol.cli.observe import note, paths_of, warn
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netpol.cluster.documents import Document
    from netpol.dialects.read import PolicyDocuments
    from netpol.model.tiers import Policy
    from netpol.review.findings import AnyWritten

_OTHER_DIALECTS = frozenset(
    {
        "CiliumNetworkPolicy",
        "CiliumClusterwideNetworkPolicy",
        "NetworkPolicy.projectcalico.org",
        "NetworkPolicy.crd.projectcalico.org",
        "GlobalNetworkPolicy",
    }
)


def read_policy_set(words: Sequence[str]) -> tuple[Policy, ...]:
    """The policies of `read_written` without their places."""
    return tuple(written.policy for written in read_written(words))


def read_written(words: Sequence[str]) -> tuple[AnyWritten, ...]:
    """All policies in the files and folders, cluster-wide ones first, with their places; other kinds are counted.

    Raises:
        InputError: A file cannot be read, a policy is invalid, or there is none.
    """
    from netpol.cluster.documents import read_documents
    from netpol.dialects.read import read_policies

    documents = list(read_documents(paths_of(words)))
    found = read_policies(documents)
    tell_of_others(documents)
    if not found.everything:
        raise InputError("holds no policy", where=tuple(words[:1]), remedy="Name files with policies")
    return written_of(found, documents)


def written_of(found: PolicyDocuments, documents: Iterable[Document]) -> tuple[AnyWritten, ...]:
    """What was found in the documents, with its places and what stands there."""
    from netpol.review.findings import Written, WrittenTier

    contents = {document.place: document.data for document in documents}
    tiers = (
        WrittenTier(policy=policy, place=place, data=contents[place])
        for policy, place in zip(found.tiers, found.tier_places, strict=True)
    )
    policies = (
        Written(policy=policy, place=place, data=contents[place])
        for policy, place in zip(found.policies, found.places, strict=True)
    )
    return (*tiers, *policies)


def tell_of_others(documents: Sequence[Document]) -> None:
    """Counts on stderr the objects that are not read; not what belongs beside policies: kustomizations, own files."""
    from netpol.cli.output import ALLOWLISTS, SUMMARY
    from netpol.dialects.read import is_policy, read_policies

    def is_beside(document: Document, folder: Path) -> bool:
        """Whether `learn -d FOLDER` wrote the file: the summary, an allowlist."""
        path = Path(document.place[0])
        return folder / ALLOWLISTS in path.parents or path == folder / SUMMARY

    ours = {Path(found.place[0]).parent for found in documents if found.data.get("generator") == "netpol"}
    others = [found for found in documents if not any(is_beside(found, folder) for folder in ours)]
    counts = read_policies(found for found in others if not is_policy(found)).passed_over
    unread = {kind for kind in counts if kind in _OTHER_DIALECTS}
    if kinds := ", ".join(f"{count} {kind}" for kind, count in counts.items() if kind in unread):
        warn(f"policies of dialects that are not read, and so count for nothing here: {kinds}")
    beside = unread | {"Kustomization"}
    if kinds := ", ".join(f"{count} {kind}" for kind, count in counts.items() if kind not in beside):
        note(f"passed over, since they are no policies: {kinds}")
