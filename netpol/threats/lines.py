"""Lists of one entry a line, and hosts files."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from netpol.model.host_name import host_name
from netpol.threats.domains import Reach
from netpol.threats.values import Name, Span, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netpol.threats.values import Entries

COMMENTS: Final = ("#", ";", "!", "//")
"""By which a comment line starts: hosts files and most feeds, Spamhaus DROP, Adblock lists, some feeds of addresses."""

LOCAL: Final = "a host's own names"
_OWN: Final = frozenset({"localhost.localdomain", "localhost.localdomain.localdomain"})


def read_lines(lines: Iterable[tuple[int, str]], entries: Entries) -> None:
    """Reads a list of values, or of an address and names as in hosts(5).

    In a hosts file the address is where the names are led to, and no threat, if it is the unspecified or a loopback
    one; any other is taken with its names. What follows an address and is no name, such as how often it was seen, is
    passed by.
    """
    for number, line in lines:
        words = without_comment(line).split()
        if words:
            _read(words, line, number, entries)


def without_comment(line: str) -> str:
    """A line without the remark at its end; empty where it is nothing else."""
    if line.startswith(COMMENTS):
        return ""
    for sign in COMMENTS:
        at = line.find(sign)
        while at > 0:
            if line[at - 1].isspace():
                line = line[:at]
            at = line.find(sign, at + 1)
    return line


def _read(words: Sequence[str], line: str, number: int, entries: Entries) -> None:
    found = parse(words[0])
    if len(words) > 1 and isinstance(first := found or parse(words[0].partition("%")[0]), Span):
        names = [word for word in words[1:] if not word.replace(".", "").isdigit()]
        if names and first.first == first.last and all(_is_name(name) for name in names):
            _hosts(names, number, entries)
            if _leads_nowhere(first):
                return
    if found is not None:
        entries.add(found, number)
    elif words[0].startswith(("http://", "https://", "hxxp")):
        entries.pass_over("URLs, of which only a path may be meant")
    elif words[0].startswith("@@"):
        entries.pass_over("exceptions")
    else:
        entries.refuse(line, number)


def _leads_nowhere(where: Span) -> bool:
    address = IPv4Address(where.first) if where.version == 4 else IPv6Address(where.first)
    nobody = address.is_unspecified or address.is_loopback or address.is_link_local or address.is_multicast
    return nobody or str(address) == "255.255.255.255"


def _hosts(names: Iterable[str], number: int, entries: Entries) -> None:
    for text in names:
        found = parse(text)
        if not isinstance(found, Name) or found.name in _OWN:
            entries.pass_over(LOCAL)
        else:
            entries.domains.add(found.name, Reach.SELF, number)


def _is_name(text: str) -> bool:
    return host_name(text) is not None or isinstance(parse(text), Name)
