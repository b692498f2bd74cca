"""Writes what `netpol deploy -d` writes, and keeps private keys out of sight."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from netpol.agent.deploy import FILES, folder
from netpol.agent.deploy_settings import Settings, Tls
from netpol.cli.observe import note
from netpol.cli.output import MARK, write_file
from netpol.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def refuse_to_show(settings: Settings, directory: Path | None) -> None:
    """A private key goes into the cluster: not into a folder that is committed, not onto a screen.

    Raises:
        UsageError: It would.
    """
    if settings.tls is not Tls.NEW:
        return
    if directory is not None:
        raise UsageError(
            "--tls new makes a private key, which does not belong into a folder",
            remedy="Pipe it into kubectl apply -f -, once; then write the folder without --tls new",
        )
    if sys.stdout.isatty():
        raise UsageError(
            "--tls new prints a private key, which does not belong on a screen",
            remedy="Pipe it into kubectl apply -f -",
        )


def write_folder(directory: Path, parts: Mapping[str, str]) -> None:
    """Writes the parts and the kustomization; a part that an earlier run wrote and this one has not is deleted.

    Raises:
        UsageError: A file stands in the way that netpol did not write; nothing is written.
        InputError: The folder cannot be written.
    """
    files = {name: MARK + text for name, text in folder(parts).items()}
    try:
        foreign = [name for name in files if (directory / name).exists() and not _is_ours(directory / name)]
        if foreign:
            raise UsageError(
                f"would overwrite {', '.join(foreign)}, which netpol did not write",
                where=(str(directory),),
                remedy="Nothing was written. Choose another folder, or move the files away",
            )
        for name, text in files.items():
            write_file(directory / name, text)
        for name in FILES:
            if name not in files and (directory / name).exists() and _is_ours(directory / name):
                (directory / name).unlink()
                note(f"{directory / name}: deleted: it is not part of it any more")
    except OSError as error:
        place = str(error.filename or directory)
        raise InputError(
            f"cannot be written: {error.strerror}", where=(place,), remedy="Choose a folder that can be written"
        ) from error


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline(len(MARK)) == MARK
