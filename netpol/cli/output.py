"""Writes the files of `learn -d`: all or nothing, and never over something that netpol did not write."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from netpol.cli.observe import note, warn
from netpol.dialects.files import files_of, kustomization
from netpol.errors import InputError, NetpolError, UsageError
from netpol.view.page import MARK as PAGE_MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from netpol.cluster.documents import Document
    from netpol.model.policy import NetworkPolicy

KUSTOMIZATION = "kustomization.yaml"
SUMMARY = "summary.json"
REVIEW = "REVIEW.md"
GRAPH = "graph.html"
ALLOWLISTS = "allowlists"
POLICY_KINDS = frozenset({"NetworkPolicy", "CiliumNetworkPolicy"})
MARK = "# Written by netpol: edits are lost when it runs again.\n"
"""First line of the kustomization; policies are known by their label, the summary by its `generator`."""
REVIEW_MARK = "# Review of network policies, by netpol\n"
"""First line of the report."""
_MARKS = {KUSTOMIZATION: MARK, REVIEW: REVIEW_MARK, GRAPH: PAGE_MARK}

SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What is to become of netpol's policies in the folder that are not written this time.

    Attributes:
        asks_about: Whether a policy is of those that were asked for (`-n`, `-l`); others are left alone.
        prune: Delete those that are.
        merged: The folder's policies were taken in before, so that nothing of them is lost by accident.
        narrowed: Not all workloads were asked for, so that their allowlists cannot take the place of those of all.
    """

    asks_about: Callable[[NetworkPolicy], bool] = lambda _: True
    prune: bool = False
    merged: bool = False
    narrowed: bool = False


def write_directory(
    directory: Path,
    policies: Mapping[str, str],
    summary: Mapping[str, object],
    leftovers: Leftovers = Leftovers(),
    allowlists: Mapping[str, str] | None = None,
    reports: Mapping[str, str] | None = None,
) -> None:
    """Writes policies, kustomization, summary and reports below `directory`; says what it deletes and finds there.

    Allowlists have no mark of their own, since each has its consumer's syntax: the summary lists them.

    Args:
        directory: Is created where it does not exist.
        policies: Relative path to text, `kustomization.yaml` among them.
        summary: Becomes `summary.json`.
        leftovers: What to do with netpol's own files that are not among these.
        allowlists: Path below `allowlists` to text.
        reports: `REVIEW` and `GRAPH` to their texts, which begin with their marks; empty for none.

    Raises:
        UsageError: A file stands in the way that netpol did not write.
        InputError: The folder cannot be written.
    """
    before = _allowlists_before(directory)
    kept = before if leftovers.narrowed else set()
    lists = {} if kept else {f"{ALLOWLISTS}/{path}": text for path, text in (allowlists or {}).items()}
    summary = {**summary, ALLOWLISTS: sorted({*lists, *kept})}
    files = {**policies, **lists, SUMMARY: json.dumps(summary, indent=2, ensure_ascii=True) + "\n"}
    files |= {path: text for path, text in (reports or {}).items() if text}
    try:
        _refuse_foreign(directory, [path for path in files if path not in before])
        found_there = dict(policies_below(directory))
        others = {path: found for path, found in found_there.items() if path not in files}
        # A file without a NetworkPolicy is of another dialect, whose policies nobody here can ask about.
        stale = [path for path, found in others.items() if found and all(map(leftovers.asks_about, found))]
        listed = [path for path in (*policies, *others) if path != KUSTOMIZATION and path not in stale]
        files[KUSTOMIZATION] = MARK + kustomization(listed)
        changed = [path for path in found_there if path in files and _differs(directory / path, files[path])]
        for path, text in files.items():
            write_file(directory / path, text)
        for path in stale if leftovers.prune else ():
            _delete(directory / path)
        for path in before - kept - lists.keys():
            _delete(directory / path)
    except OSError as error:
        place = str(error.filename or directory)
        raise InputError(
            f"cannot be written: {error.strerror}", where=(place,), remedy="Choose a folder that can be written"
        ) from error
    if kept:
        note(f"{directory / ALLOWLISTS}: left alone, because not all workloads were asked for")
    for path in stale:
        _tell_of_stale(directory / path, leftovers, elsewhere=_paths_of(others[path]) <= policies.keys())
    _tell_of_changed(directory, [found_there[path] for path in changed], leftovers)


def _tell_of_changed(directory: Path, changed: Collection[tuple[NetworkPolicy, ...]], leftovers: Leftovers) -> None:
    """Whose rules may be gone: of other dialects than Kubernetes' own no policy is ever read again."""
    foreign = sum(not found for found in changed)
    own = len(changed) - foreign
    if own and not leftovers.merged:
        note(
            f"{own} policies of an earlier run were written anew from this capture alone: "
            f"--existing {directory} would have kept what else they allowed"
        )
    if foreign:
        note(
            f"{foreign} policies of an earlier run were written anew from this capture alone: they were of a dialect "
            "that netpol writes and does not read, so that nothing of them is kept"
        )


def _paths_of(policies: Iterable[NetworkPolicy]) -> set[str]:
    return set(files_of((policy.namespace, policy.name, "") for policy in policies)) - {KUSTOMIZATION}


def _tell_of_stale(path: Path, leftovers: Leftovers, *, elsewhere: bool) -> None:
    """What became of a file, or should, that is not written any more.

    Args:
        path: The file.
        leftovers: What the user chose.
        elsewhere: Whether each of its policies has a file of its own now, since somebody had put them together.
    """
    if leftovers.prune:
        why = (
            "its policies have files of their own" if elsewhere else "nothing of it was learned, and --prune was given"
        )
        note(f"{path}: deleted: {why}")
    elif elsewhere:
        what = "" if leftovers.merged else ", and --existing would have kept what else they allowed"
        warn(f"{path}: its policies have files of their own now: --prune deletes it{what}")
    else:
        keep = "" if leftovers.merged else ", --existing keeps it"
        warn(f"{path}: written by an earlier run, and no longer generated: --prune deletes it{keep}")


def _allowlists_before(directory: Path) -> set[str]:
    """The allowlists that an earlier run wrote here and that still are: they hold what one capture showed, no more."""
    try:
        summary = json.loads((directory / SUMMARY).read_bytes())
        ours = summary["generator"] == "netpol"
        listed = [path for path in summary[ALLOWLISTS] if isinstance(path, str)] if ours else []
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()
    # Whoever can write the summary must not have other files deleted.
    inside = (path for path in listed if path.startswith(f"{ALLOWLISTS}/") and ".." not in Path(path).parts)
    return {path for path in inside if (directory / path).is_file()}


def _refuse_foreign(directory: Path, files: Iterable[str]) -> None:
    wanted = list(files)
    folders = {parent.as_posix() for path in wanted for parent in PurePath(path).parents}
    foreign = sorted(path for path in folders if (directory / path).exists() and not (directory / path).is_dir())
    foreign += [path for path in wanted if (directory / path).exists() and not _is_ours(directory / path)]
    if foreign:
        more = f" and {len(foreign) - SHOWN} more" if len(foreign) > SHOWN else ""
        raise UsageError(
            f"would overwrite {', '.join(foreign[:SHOWN])}{more}, which netpol did not write",
            where=(str(directory),),
            remedy="Nothing was written. Choose another folder, or move the files away",
        )


def _differs(path: Path, text: str) -> bool:
    return path.exists() and path.read_bytes() != text.encode()


def _delete(path: Path) -> None:
    """The file, and its folder where nothing else is in it."""
    path.unlink()
    with suppress(OSError):
        path.parent.rmdir()


def write_file(path: Path, text: str) -> None:
    """Readers see the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".netpol-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _is_ours(path: Path) -> bool:
    if path.name in _MARKS:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.readline(len(_MARKS[path.name])) == _MARKS[path.name]
    if path.name == SUMMARY:
        try:
            return bool(json.loads(path.read_bytes()).get("generator") == "netpol")
        except (ValueError, AttributeError, RecursionError):
            return False
    return _is_managed_policy(path)


def _is_managed_policy(path: Path) -> bool:
    return bool(_managed_documents(path))


def _managed_documents(path: Path) -> list[Document]:
    """The documents of the file if every one is a policy of some dialect with netpol's label; else none."""
    from netpol.cluster.documents import read_documents
    from netpol.policy.generate import MANAGED_BY

    try:
        documents = list(read_documents([path]))
    except NetpolError:
        return []
    for document in documents:
        metadata = document.data.get("metadata")
        labels = metadata.get("labels") if isinstance(metadata, dict) else None
        ours = isinstance(labels, dict) and MANAGED_BY.items() <= labels.items()
        if document.data.get("kind") not in POLICY_KINDS or not ours:
            return []
    return documents


def policies_below(directory: Path, *, tell: bool = True) -> Iterator[tuple[str, tuple[NetworkPolicy, ...]]]:
    """Policies of netpol where it would write them: path relative to the folder, and what is in the file.

    Args:
        directory: The folder.
        tell: Say on stderr which files are left out because they are no longer valid.
    """
    from netpol.dialects.read import read_policies

    for path in sorted(directory.glob("*/*.yaml")):
        if path.is_file() and (documents := _managed_documents(path)):
            try:
                found = read_policies(documents).policies
            except NetpolError as error:
                # Edited by hand until no API server takes it: nothing is known of it, so it is left as it is.
                if tell:
                    warn(f"{error}")
                continue
            yield path.relative_to(directory).as_posix(), found
