"""Writes the files of `learn -d`: all or nothing, and never over something that netpol did not write."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from netpol.cli.observe import warn
from netpol.errors import InputError, NetpolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KUSTOMIZATION = "kustomization.yaml"
SUMMARY = "summary.json"
MARK = "# Written by netpol: edits are lost when it runs again.\n"
"""First line of the kustomization; policies are known by their label, the summary by its `generator`."""

SHOWN = 5


def write_directory(directory: Path, policies: Mapping[str, str], summary: Mapping[str, object]) -> None:
    """Writes policies, kustomization and summary below `directory`.

    Args:
        directory: Is created where it does not exist.
        policies: Relative path to text, `kustomization.yaml` among them.
        summary: Becomes `summary.json`.

    Raises:
        UsageError: A file stands in the way that netpol did not write.
        InputError: The folder cannot be written.
    """
    files = {path: MARK + text if path == KUSTOMIZATION else text for path, text in policies.items()}
    files[SUMMARY] = json.dumps(summary, indent=2, ensure_ascii=True) + "\n"
    try:
        foreign = [path for path in files if (directory / path).exists() and not _is_ours(directory / path)]
        if foreign:
            more = f" and {len(foreign) - SHOWN} more" if len(foreign) > SHOWN else ""
            raise UsageError(
                f"would overwrite {', '.join(foreign[:SHOWN])}{more}, which netpol did not write",
                where=(str(directory),),
                remedy="Nothing was written. Choose another folder, or move the files away",
            )
        for path, text in files.items():
            _write(directory / path, text)
        stale = sorted(path for path in _policies_below(directory) if path not in files)
    except OSError as error:
        place = str(error.filename or directory)
        raise InputError(
            f"cannot be written: {error.strerror}", where=(place,), remedy="Choose a folder that can be written"
        ) from error
    for path in stale:
        warn(f"{directory / path}: written by an earlier run, and no longer generated: remove it if it is not needed")


def _write(path: Path, text: str) -> None:
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
    if path.name == KUSTOMIZATION:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.readline(len(MARK)) == MARK
    if path.name == SUMMARY:
        try:
            return bool(json.loads(path.read_bytes()).get("generator") == "netpol")
        except (ValueError, AttributeError, RecursionError):
            return False
    return _is_managed_policy(path)


def _is_managed_policy(path: Path) -> bool:
    """Every document of the file is a NetworkPolicy with netpol's label."""
    from netpol.cluster.documents import read_documents
    from netpol.policy.generate import MANAGED_BY

    try:
        documents = list(read_documents([path]))
    except NetpolError:
        return False
    for document in documents:
        metadata = document.data.get("metadata")
        labels = metadata.get("labels") if isinstance(metadata, dict) else None
        ours = isinstance(labels, dict) and MANAGED_BY.items() <= labels.items()
        if document.data.get("kind") != "NetworkPolicy" or not ours:
            return False
    return bool(documents)


def _policies_below(directory: Path) -> Iterator[str]:
    """Policies of netpol in the places where it would write them, relative to the folder."""
    for path in directory.glob("*/*.yaml"):
        if path.is_file() and _is_managed_policy(path):
            yield path.relative_to(directory).as_posix()
