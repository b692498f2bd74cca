"""The policies that the cluster has already: files, folders, standard input, a git revision, or the live cluster."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netpol.cli.diff_git import PREFIX, GitPlace, read_git
from netpol.cli.observe import Cluster, cluster_from, cluster_of, note, paths_of, warn
from netpol.cli.policies import tell_of_others
from netpol.errors import ClusterError, InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netpol.cli.observe import ClusterChoice
    from netpol.cluster.documents import Document
    from netpol.cluster.live import LiveReading
    from netpol.model.inventory import Inventory
    from netpol.policy.existing import Existing

LIVE: Final = "live"
NONE: Final = "none"
_RESOURCE: Final = "networkpolicies"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingRead:
    """What was read, and from where, as the user named it."""

    sources: tuple[str, ...]
    policies: Existing

    def takes_in(self, directory: Path | None) -> bool:
        """Whether the policies that lie in the folder are among these: it was named, or what was applied from it."""
        if directory is None or LIVE in self.sources:
            return True
        place = directory.absolute()
        paths = (Path(word) for word in self.sources if word != "-" and not word.startswith(PREFIX))
        return any(place.is_relative_to(path.absolute()) for path in paths)


def read_cluster(
    choice: ClusterChoice, words: Sequence[str], directory: Path | None = None
) -> tuple[Cluster, ExistingRead | None]:
    """The cluster, and the policies that it has; None where they are not to be looked at.

    Args:
        choice: Files, or the live cluster.
        words: What `--existing` names. None of it means the live cluster's where that is asked anyway.
        directory: Where the result goes: named as existing too, it may not be there yet.

    Raises:
        UsageError: `none` beside something else.
        InputError: Something cannot be read, or a policy is invalid.
        ClusterError: The live cluster is needed and cannot be asked.
    """
    sources = tuple(words) or (() if choice.paths else (LIVE,))
    if NONE in sources:
        if len(sources) > 1:
            raise UsageError("--existing none stands alone", remedy="Name no other source, or leave none out")
        return cluster_of(choice), None
    if not sources:
        cluster = cluster_of(choice)
        _tell_of_policies_beside(cluster.inventory)
        return cluster, None
    live: list[Document] = []
    inventory = None
    if LIVE in sources:
        from netpol.cluster.live import LiveReading

        reading = LiveReading()
        live = _read_live(choice, reading, asked=LIVE in words)
        inventory = None if choice.paths else _inventory_of(live, reading)
        if _RESOURCE in reading.missed and not words:
            # Said already: nothing is known of them, which is not the same as that there are none.
            sources = ()
    written = [document for word in sources if word != LIVE for document in _documents(word, directory)]
    cluster = cluster_of(choice) if inventory is None else cluster_from(inventory)
    if not sources:
        return cluster, None
    policies = _policies(live, written)
    if not policies.everything and any(word != LIVE and not _is_new(word, directory) for word in sources):
        warn(f"{', '.join(sources)}: no policy there: everything is allowed today")
    return cluster, ExistingRead(sources=sources, policies=policies)


def _policies(live: list[Document], written: list[Document]) -> Existing:
    from netpol.dialects.read import read_policies
    from netpol.policy.existing import Existing

    try:
        found = read_policies([*live, *written])
    except InputError as error:
        remedy = "Mend them, or leave existing policies out of account with --existing none"
        raise InputError(f"{error}\n{remedy}") from None
    tell_of_others(written)
    nameless = sum(document.data.get("kind") == "NetworkPolicy" and not _namespace(document) for document in written)
    if nameless:
        note(f"{nameless} existing policies name no namespace: they are taken for those of the namespace default")
    return Existing.of(found.everything)


def _namespace(document: Document) -> object:
    metadata = document.data.get("metadata")
    return metadata.get("namespace") if isinstance(metadata, dict) else None


def _documents(word: str, directory: Path | None) -> Iterator[Document]:
    from netpol.cluster.documents import read_documents

    if word.startswith(PREFIX):
        return read_git(GitPlace.parse(word))
    return iter(()) if _is_new(word, directory) else read_documents(paths_of([word]))


def _is_new(word: str, directory: Path | None) -> bool:
    """Whether it is the folder where the result goes, and nothing is there yet: the first of many runs."""
    if directory is None or word == "-" or Path(word).absolute() != directory.absolute():
        return False
    return not directory.exists() or (directory.is_dir() and next(directory.rglob("*.*"), None) is None)


def _read_live(choice: ClusterChoice, reading: LiveReading, *, asked: bool) -> list[Document]:
    from netpol.cluster.live import read_live_documents

    found = list(read_live_documents(choice.context, choice.kubeconfig, reading=reading, policies=True))
    if asked and _RESOURCE in reading.missed:
        raise ClusterError(
            f"may not list {_RESOURCE}", remedy=f"Grant the verb list on {_RESOURCE}, or name files with --existing"
        )
    for message in reading.warnings:
        warn(message)
    return found


def _inventory_of(documents: list[Document], reading: LiveReading) -> Inventory:
    """As `load_live` makes it."""
    from netpol.cluster.manifests import inventory_of

    try:
        inventory = inventory_of(documents)
    except InputError as error:
        raise ClusterError(
            error.what, where=error.where, remedy="The API server sent an object that breaks its own API"
        ) from None
    notes = {**inventory.notes, **{f"{resource} could not be listed": 1 for resource in reading.missed}}
    return replace(inventory, notes=dict(sorted(notes.items())))


def _tell_of_policies_beside(inventory: Inventory) -> None:
    from netpol.model.tiers import TIER_KINDS

    count = sum(inventory.passed_over.get(kind, 0) for kind in ("NetworkPolicy", *TIER_KINDS))
    if count:
        note(f"{count} policies stand in the cluster's files: --existing PATH lays the result against them")
