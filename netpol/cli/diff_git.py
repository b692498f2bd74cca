"""Manifests as git has them in a revision: read from its objects, without a checkout.

Revision and path come from a command line that may stand in a CI job's configuration. They reach git only as arguments
that it cannot take for options; what it answers is bounded; no hook, filter, pager or prompt runs, and nothing is
fetched.
"""

from __future__ import annotations

import os
import re
import subprocess
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final, NamedTuple

from netpol.errors import InputError, UsageError
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.cluster.documents import Document

PREFIX: Final = "git:"
_FATAL: Final = 128
"""Exit code of git where it could not even begin: no repository, one that it does not trust."""
_COMPLAINT: Final = 1000
"""Bytes of git's own message that are repeated."""
_LISTING_BYTES: Final = 64 << 20
_SUFFIXES: Final = (".yaml", ".yml", ".json")
_FILES: Final = frozenset({"100644", "100755"})
"""Modes of regular files: links and submodules have others."""
_OBJECT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class GitPlace(NamedTuple):
    """`git:REV:PATH`; the path is that of `git show REV:PATH`: from the top of the work tree, or `./` from here."""

    revision: str
    path: str

    @classmethod
    def parse(cls, word: str) -> GitPlace:
        """The place from an argument that begins with `git:`.

        Raises:
            UsageError: It is not of that shape, or the revision would be taken for an option.
        """
        revision, colon, path = word.removeprefix(PREFIX).partition(":")
        if not colon or not revision or revision.startswith("-") or "\0" in word:
            raise UsageError(
                f"{shown(word)} is not git:REV:PATH", remedy="Write it like git:origin/main:deploy/policies"
            )
        return cls(revision, path)

    def __str__(self) -> str:
        return f"{PREFIX}{self.revision}:{self.path}"


def read_git(place: GitPlace) -> Iterator[Document]:
    """The objects in a file, or in all manifests below a folder, of a revision.

    Raises:
        InputError: git is not there, this is no repository, it has no such revision or path, or what is there cannot be
        read.
    """
    from netpol.cluster.documents import MAX_BYTES, documents_in

    commit = _resolve(f"{place.revision}^{{commit}}", place, "no such revision")
    found = _resolve(f"{commit}:{place.path.rstrip('/')}", place, "no such path in this revision")
    kind = _git(place, "cat-file", "-t", found, limit=100).strip()
    if kind == b"blob":
        content = _git(place, "cat-file", "blob", found, limit=MAX_BYTES + 1)
        yield from documents_in(str(place), content, named=True)
        return
    files = list(_files(place, found))
    if not files:
        raise InputError(
            "the folder holds no *.yaml, *.yml or *.json file",
            where=(str(place),),
            remedy="Name the folder of the manifests",
        )
    for path, blob in files:
        content = _git(place, "cat-file", "blob", blob, limit=MAX_BYTES + 1)
        yield from documents_in(f"{str(place).rstrip('/')}/{path}", content, named=False)


def _files(place: GitPlace, tree: str) -> Iterator[tuple[str, str]]:
    """(path, blob) of the manifests below a folder, by path; what is hidden is left alone, as in file systems."""
    from netpol.cluster.documents import MAX_FILES

    count = 0
    for entry in sorted(_git(place, "ls-tree", "-r", "-z", tree, limit=_LISTING_BYTES).split(b"\0")):
        fields, _, raw = entry.partition(b"\t")
        path = raw.decode("utf-8", "backslashreplace")
        if not path.lower().endswith(_SUFFIXES) or any(part.startswith(".") for part in path.split("/")):
            continue
        mode, _, blob = fields.decode("ascii").split(" ")
        if mode in _FILES:
            count += 1
            if count > MAX_FILES:
                raise InputError(
                    f"more than {MAX_FILES} manifests", where=(str(place),), remedy="Name a smaller folder"
                )
            yield path, blob


def _resolve(expression: str, place: GitPlace, missing: str) -> str:
    """The name of the object that an expression means."""
    answer = _git(
        place, "rev-parse", "--verify", "--quiet", "--end-of-options", expression, limit=1000, missing=missing
    )
    # With --end-of-options some versions print that word too.
    name = answer.decode("ascii", "replace").split()[-1:]
    if not name or _OBJECT.fullmatch(name[0]) is None:
        raise _failed(place, missing)
    return name[0]


def _git(place: GitPlace, *arguments: str, limit: int, missing: str = "") -> bytes:
    """What git prints.

    Args:
        place: For messages.
        *arguments: Subcommand, options and objects.
        limit: Bytes; more is an error.
        missing: What it means when git fails without a word.
    """
    command = ["git", "--no-pager", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never", *arguments]
    environment = {
        **os.environ,
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
    }
    with TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(  # noqa: S603 - a fixed program; its arguments are checked, and no shell reads them
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, env=environment
            )
        except FileNotFoundError:
            raise InputError(
                "git is not installed", where=(str(place),), remedy="Install it, or name a folder"
            ) from None
        with process:
            answer = process.stdout.read(limit + 1) if process.stdout else b""
            if len(answer) > limit:
                process.kill()
                raise InputError(
                    f"git answers with more than {limit:,} bytes", where=(str(place),), remedy="Name a smaller folder"
                )
        complaints.seek(0)
        complaint = complaints.readline(_COMPLAINT).decode("utf-8", "replace").strip().removeprefix("fatal: ")
    if process.returncode:
        # What stands in the way of git itself is said by git; what it does not have, in our words.
        broken = complaint if process.returncode == _FATAL else ""
        raise _failed(place, broken or missing or complaint or f"git failed ({process.returncode})")
    return answer


def _failed(place: GitPlace, what: str) -> InputError:
    return InputError(what, where=(str(place),), remedy="Check revision and path with `git show REV:PATH`")
