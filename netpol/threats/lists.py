"""A threat list from a file."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Final

from netpol.errors import InputError
from netpol.model.cidr import AddressSet
from netpol.model.intervals import normalise
from netpol.model.nat64 import WELL_KNOWN, behind
from netpol.threats.lines import COMMENTS, read_lines
from netpol.threats.stix import read_stix
from netpol.threats.tables import delimiter_of, has_headings, read_table
from netpol.threats.values import Entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from netpol.model.flow import Address
    from netpol.model.host_name import HostName
    from netpol.model.wildcard import Wildcard


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large one list may be.

    Attributes:
        bytes: Of a list that is read line by line.
        json_bytes: Of a STIX bundle, which is held whole.
        entries: Addresses, blocks and names.
        line: Bytes of a line; a longer one is none.
    """

    bytes: int = 1 << 28
    json_bytes: int = 1 << 26
    entries: int = 4_000_000
    line: int = 1 << 16


DEFAULT: Final = Limits()

_VERSION: Final = re.compile(
    r"(?:version|last[ -]?(?:updated|modified|change)|updated|generated)\b[\s:=]*(\S.{0,39})", re.IGNORECASE
)
_HEADER_LINES: Final = 64
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreatList:
    """One list.

    Attributes:
        name: As the user named it.
        version: What the list says about its own version, empty where it says nothing.
        sha256: Of its bytes, in hexadecimal: tells two versions apart whatever they say.
        entries: What it holds.
    """

    name: str
    version: str
    sha256: str
    entries: Entries

    def address(self, address: Address) -> int | None:
        """The line that names an address, or the IPv4 address that it leads to through NAT64; None where none does."""
        line = self.entries.addresses.line(address)
        if line is None and (inner := behind(address)) is not address:
            return self.entries.addresses.line(inner)
        return line

    def host(self, name: HostName) -> int | None:
        """The line that names a host, None where none does."""
        return self.entries.domains.line(name)


def load(path: Path, limits: Limits = DEFAULT) -> ThreatList:
    """Reads a list; its format is told by its content.

    Raises:
        InputError: The file cannot be read, is too large, is nothing that can be read as a list, or lists nothing.
    """
    try:
        with path.open("rb") as stream:
            return _load(path, stream, limits)
    except OSError as error:
        raise InputError(
            error.strerror or "it cannot be read", where=(str(path),), remedy="Name a file that can be read"
        ) from None
    except InputError as error:
        raise error.inside(str(path)) from None


def _load(path: Path, stream: BinaryIO, limits: Limits) -> ThreatList:
    entries = Entries()
    digest = hashlib.sha256()
    head = stream.read(4096)
    if head.removeprefix(_BOM).lstrip()[:1] in {b"{", b"["}:
        content = head + stream.read(limits.json_bytes + 1 - len(head))
        if len(content) > limits.json_bytes:
            raise InputError(f"more than {limits.json_bytes >> 20} MiB of JSON", remedy="Split the bundle")
        digest.update(content)
        try:
            version = read_stix(content.removeprefix(_BOM), entries)
        except UnicodeDecodeError:
            raise InputError("not UTF-8", remedy="Give a list in plain text, CSV or STIX 2.1 JSON") from None
    else:
        if b"\0" in head:
            raise InputError("a binary file", remedy="Give a list in plain text, CSV or STIX 2.1 JSON")
        stream.seek(0)
        version = _text(_Lines(stream, digest, limits, entries), entries)
    if not len(entries):
        first = f"; {entries.bad_lines[0]} is none" if entries.bad_lines else ""
        raise InputError(
            f"no address, block or host name in it{first}",
            remedy="A list has one entry a line, or is a hosts file, a CSV table or a STIX 2.1 bundle",
        )
    return ThreatList(name=str(path), version=version, sha256=digest.hexdigest(), entries=entries)


def _text(lines: Iterator[tuple[int, str]], entries: Entries) -> str:
    """Reads what is no JSON, and returns what its first comments say about its version."""
    version, heading = "", None
    for number, line in lines:
        if not line.startswith(COMMENTS):
            rest = chain([(number, line)], lines)
            delimiter = delimiter_of(heading, line)
            if delimiter is None:
                read_lines(rest, entries)
            else:
                read_table(heading, delimiter, rest, entries)
            break
        if heading is None or has_headings(line):
            heading = line
        if not version and number <= _HEADER_LINES and (match := _VERSION.search(line)):
            version = match[1].strip(" \t:=\"'#*|")
    return version


class _Lines:
    """The lines of a text that are not empty, with their numbers; counts those that are too long."""

    def __init__(self, stream: BinaryIO, digest: hashlib._Hash, limits: Limits, entries: Entries) -> None:
        self._stream, self._digest, self._limits, self._entries = stream, digest, limits, entries
        self._number = self._bytes = 0

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return self

    def __next__(self) -> tuple[int, str]:
        while True:
            raw = self._read()
            self._number += 1
            if len(raw) > self._limits.line:
                while raw and not raw.endswith(b"\n"):
                    raw = self._read()
                self._entries.refuse("a line too long for an entry", self._number)
                continue
            if not raw:
                raise StopIteration
            text = raw.removeprefix(_BOM if self._number == 1 else b"").decode("utf-8", "replace").strip()
            if text:
                return self._number, text

    def _read(self) -> bytes:
        raw = self._stream.readline(self._limits.line + 1)
        self._digest.update(raw)
        self._bytes += len(raw)
        limits = self._limits
        if self._bytes > limits.bytes:
            raise InputError(f"more than {limits.bytes >> 20} MiB", remedy="Split the list")
        # Looked at now and then and at the end: a line holds few entries, and counting takes longer than reading it.
        if (not raw or not self._number % 1024) and len(self._entries) > limits.entries:
            raise InputError(f"more than {limits.entries:,} entries", remedy="Split the list")
        return raw


@dataclass(frozen=True, slots=True)
class Match:
    """Which list names something, and where."""

    list: ThreatList
    line: int


class Threats:
    """Several lists, asked in their order."""

    def __init__(self, lists: Sequence[ThreatList] = ()) -> None:
        self.lists = tuple(lists)

    @property
    def has_names(self) -> bool:
        """Whether any list has names."""
        return any(len(item.entries.domains) for item in self.lists)

    def address(self, address: Address) -> Match | None:
        """The first list that names an address."""
        return next((Match(one, line) for one in self.lists if (line := one.address(address)) is not None), None)

    def host(self, name: HostName) -> Match | None:
        """The first list that names a host."""
        return next((Match(one, line) for one in self.lists if (line := one.host(name)) is not None), None)

    def under(self, pattern: Wildcard) -> Match | None:
        """The first list that names something that a pattern of names stands for."""
        found = ((one, one.entries.domains.under(pattern)) for one in self.lists)
        return next((Match(one, line) for one, line in found if line is not None), None)

    @property
    def addresses(self) -> AddressSet:
        """All addresses that any list names, and those that lead to them through NAT64."""
        v4 = normalise(chain.from_iterable(one.entries.addresses.pairs(4) for one in self.lists))
        through = ((WELL_KNOWN | first, WELL_KNOWN | last) for first, last in v4)
        v6 = normalise(chain(through, *(one.entries.addresses.pairs(6) for one in self.lists)))
        return AddressSet(v4=v4, v6=v6)
