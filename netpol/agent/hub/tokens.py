"""Tokens in a file: for tests, for clusters without TokenReview, and for readers outside the cluster."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netpol.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

ANY: Final = "*"
MOST_TOKEN: Final = 16_384
"""Characters of a token. Service-account tokens have about a thousand."""
_LEAST_TOKEN: Final = 16
_MOST_FILE: Final = 1 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\*")
_TOKEN: Final = re.compile(rf"[!-~]{{{_LEAST_TOKEN},{MOST_TOKEN}}}")
_REMEDY: Final = "A line is: writer NODE TOKEN, writer * TOKEN, or reader NAME TOKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks.

    Attributes:
        name: For messages and counts.
        writes: It may send windows.
        reads: It may read what is kept.
        node: The node that it is proven to be on, None where that is not proven.
    """

    name: str
    writes: bool
    reads: bool
    node: str | None = None


def digest(token: str) -> bytes:
    """What stands for a token wherever it is kept or compared: its length and content show in no time that it takes."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


class TokenFile:
    """A file of tokens, read again when it changes.

    Each line is `writer NODE TOKEN`, where `*` stands for any node, or `reader NAME TOKEN`; empty lines and those that
    begin with # say nothing.

    Args:
        path: Of the file.

    Raises:
        InputError: It cannot be read, or a line is none of these.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read()

    def refresh(self) -> bool:
        """Reads the file again where it changed: whether it did. What was known stays where it cannot be read.

        Raises:
            InputError: It cannot be read, or is wrong.
        """
        try:
            changed = self._stamp != self._look()
        except OSError as error:
            raise self._unreadable(error) from None
        if changed:
            self._read()
        return changed

    def caller(self, token: str) -> Caller | None:
        """Whose token it is. Every token of the file is compared, each in constant time."""
        wanted = digest(token)
        found = None
        for known, caller in self._callers:
            if hmac.compare_digest(known, wanted):
                found = caller
        return found

    def _look(self) -> tuple[int, int, int]:
        status = self._path.stat()
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _read(self) -> None:
        try:
            stamp = self._look()
            with self._path.open("rb") as file:
                data = file.read(_MOST_FILE + 1)
        except OSError as error:
            raise self._unreadable(error) from None
        if len(data) > _MOST_FILE:
            raise InputError("too large for a token file", where=(str(self._path),), remedy=_REMEDY)
        callers = []
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            words = line.split()
            if words and not words[0].startswith("#"):
                callers.append(self._line(number, words))
        self._callers, self._stamp = callers, stamp

    def _line(self, number: int, words: list[str]) -> tuple[bytes, Caller]:
        """One line. No message repeats it: it may hold a token."""
        place = (str(self._path), f"line {number}")
        if len(words) != 3 or words[0] not in {"writer", "reader"} or not _NAME.fullmatch(words[1]):
            raise InputError("not a token with its owner", where=place, remedy=_REMEDY)
        role, name, token = words
        if not _TOKEN.fullmatch(token):
            raise InputError(
                f"the token has fewer than {_LEAST_TOKEN} characters, or some that are not printable ASCII",
                where=place,
                remedy="Make one with: openssl rand -hex 32",
            )
        writes = role == "writer"
        node = name if writes and name != ANY else None
        return digest(token), Caller(name=f"{role} {name}", writes=writes, reads=not writes, node=node)

    def _unreadable(self, error: OSError) -> InputError:
        return InputError(f"cannot be read: {error.strerror}", where=(str(self._path),), remedy=_REMEDY)
