"""The two sides of `netpol diff`: files, folders, standard input, a git revision, or what the cluster has now."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from netpol.cli.diff_git import PREFIX, GitPlace, read_git
from netpol.cli.observe import paths_of, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.cli.observe import ClusterChoice
    from netpol.cluster.documents import Document
    from netpol.dialects.read import PolicyDocuments
    from netpol.model.inventory import Inventory
    from netpol.model.tiers import Policy
    from netpol.policy.classes import Side
    from netpol.review.findings import AnyWritten

LIVE: Final = "live"


@dataclass(frozen=True)
class Inputs:
    """What is compared, and in which cluster.

    Attributes:
        old: `live`, `git:REV:PATH`, a path or `-`.
        new: The same.
        cluster: Files, or the live cluster.
    """

    old: str
    new: str
    cluster: ClusterChoice

    def sides(self) -> tuple[Side, Side]:
        """Both sides, each with the cluster as it is there.

        Raises:
            InputError: Something cannot be read.
            ClusterError: The live cluster is needed and cannot be asked.
        """
        from netpol.policy.classes import Side
        from netpol.policy.difference_sides import with_workloads

        cluster = self.inventory
        old, new = self._both
        return (
            Side(policies=old.policies, inventory=with_workloads(cluster, old.beside, new.beside)),
            Side(policies=new.policies, inventory=with_workloads(cluster, new.beside, old.beside)),
        )

    def written(self) -> tuple[tuple[AnyWritten, ...], tuple[AnyWritten, ...]]:
        """The policies of both sides with their places."""
        from netpol.cli.policies import written_of

        old, new = (written_of(side.found, side.documents) for side in self._both)
        return old, new

    @cached_property
    def _both(self) -> tuple[_SideRead, _SideRead]:
        return self._read(self.old, "OLD"), self._read(self.new, "NEW")

    @cached_property
    def inventory(self) -> Inventory:
        """The cluster that both sides share."""
        from netpol.cli.observe import read_inventory
        from netpol.cluster.manifests import inventory_of

        if self.cluster.paths or LIVE not in {self.old, self.new}:
            return read_inventory(self.cluster)
        return inventory_of(self._live)

    def _read(self, word: str, role: str) -> _SideRead:
        from netpol.cluster.manifests import inventory_of
        from netpol.dialects.read import is_policy, read_policies
        from netpol.model.inventory import Inventory

        documents = self._live if word == LIVE else list(_documents(word))
        found = read_policies(documents)
        if not found.everything:
            warn(f"{role} holds no policy: everything is allowed there")
        beside = Inventory(namespaces={})
        if word != LIVE:
            beside = inventory_of(document for document in documents if not is_policy(document))
            others = beside.passed_over
            if others:
                kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(others.items()))
                warn(f"{role}: objects that are neither policies nor workloads were passed over: {kinds}")
        return _SideRead(found, documents, beside)

    @cached_property
    def _live(self) -> list[Document]:
        from netpol.cluster.live import LiveReading, read_live_documents

        reading = LiveReading()
        found = list(read_live_documents(self.cluster.context, self.cluster.kubeconfig, reading=reading, policies=True))
        for message in reading.warnings:
            warn(message)
        return found


@dataclass(frozen=True, slots=True)
class _SideRead:
    found: PolicyDocuments
    documents: list[Document]
    beside: Inventory

    @property
    def policies(self) -> tuple[Policy, ...]:
        return self.found.everything


def _documents(word: str) -> Iterator[Document]:
    from netpol.cluster.documents import read_documents

    if word.startswith(PREFIX):
        return read_git(GitPlace.parse(word))
    return read_documents(paths_of([word]))
