"""What one entry of a list may be: an address, a block, a range of addresses, or a host name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final, NamedTuple

import idna

from netpol.model.host_name import host_name
from netpol.model.text import shown
from netpol.threats.addresses import Ranges
from netpol.threats.domains import Domains, Reach

if TYPE_CHECKING:
    from netpol.model.flow import Address
    from netpol.model.host_name import HostName

BAD_SHOWN: Final = 5
"""Bad lines named; the count tells of the rest."""

LONGEST_VALUE: Final = 1024
"""Characters. A host name has 253 at most, in Unicode too."""

_ADDRESS: Final = re.compile(r"[0-9A-Fa-f:.]+")
_WHOLE_V4: Final = (1 << 32) - 1
_OCTET: Final = r"(0|[1-9][0-9]{0,2})"
_PLAIN_V4: Final = re.compile(rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}(?:/(0|[1-9][0-9]?))?")
_V4_AT_PORT: Final = re.compile(r"([0-9.]+):[0-9]{1,5}")
_V6_AT_PORT: Final = re.compile(r"\[([0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\]:[0-9]{1,5}")
_DEFANGED: Final = str.maketrans({"[": "", "]": ""})


@dataclass(slots=True)
class Entries:
    """What a list holds, as it is read.

    Attributes:
        passed_over: Entries that are well-formed and cannot be matched, counted by what they are.
        bad: How many lines or patterns are none.
        bad_lines: The first few, quoted and escaped.
    """

    addresses: Ranges = field(default_factory=Ranges)
    domains: Domains = field(default_factory=Domains)
    passed_over: dict[str, int] = field(default_factory=dict)
    bad: int = 0
    bad_lines: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.addresses) + len(self.domains)

    def take(self, text: str, line: int) -> bool:
        """Adds a value if it is one; otherwise nothing happens."""
        found = parse(text)
        if found is None:
            return False
        self.add(found, line)
        return True

    def add(self, found: Name | Span, line: int) -> None:
        """Adds what was parsed."""
        if isinstance(found, Name):
            self.domains.add(found.name, found.reach, line)
        else:
            self.addresses.add(found.version, found.first, found.last, line)

    def pass_over(self, what: str) -> None:
        """Counts an entry that cannot be matched."""
        self.passed_over[what] = self.passed_over.get(what, 0) + 1

    def refuse(self, text: str, line: int) -> None:
        """Counts a line that is no entry."""
        self.bad += 1
        if len(self.bad_lines) < BAD_SHOWN:
            self.bad_lines.append(f"line {line}: {shown(text)}")


@dataclass(frozen=True, slots=True)
class Name:
    """A host name and what it stands for."""

    name: HostName
    reach: Reach


class Span(NamedTuple):
    """Addresses of one family from the first to the last."""

    version: int
    first: int
    last: int


def parse(text: str) -> Name | Span | None:
    """The value that a text is, None for anything else.

    A plain name stands for itself alone, as in every resolver that reads such lists (AdGuard Home, "Domains-only
    syntax"; Pi-hole, exact blocking). `.NAME` and `||NAME^` stand for the name and all below it (Squid, dstdomain;
    AdGuard, "Adblock-style syntax"), `*.NAME` for all below it (RFC 4592). Brackets that keep a value from being
    clicked on (`evil[.]example`) are dropped, and so is the port behind an address. An IPv4-mapped IPv6 address
    (RFC 4291, 2.5.5.2) is the IPv4 address. A block may have bits set beyond its prefix.
    """
    if match := _PLAIN_V4.fullmatch(text):
        # Most lists hold millions of these and nothing else.
        return _plain(match)
    if len(text) > LONGEST_VALUE:
        return None
    if match := _V6_AT_PORT.fullmatch(text):
        return _addresses(match[1])
    if "[" in text:
        text = text.translate(_DEFANGED)
    if (match := _V4_AT_PORT.fullmatch(text)) and (plain := _PLAIN_V4.fullmatch(match[1])):
        return _plain(plain)
    if _ADDRESS.fullmatch(text.partition("/")[0].partition("-")[0]) and (found := _addresses(text)):
        return found
    return _name(text)


def _plain(match: re.Match[str]) -> Span | None:
    octets = [int(octet) for octet in match.groups()[:4]]
    bits = 32 - int(match[5] or 32)
    if max(octets) > 255 or bits < 0:
        return None
    first = int.from_bytes(octets) >> bits << bits
    return Span(4, first, first + (1 << bits) - 1)


def _addresses(text: str) -> Span | None:
    try:
        if "/" in text:
            network = ip_network(text, strict=False)
            ends: tuple[Address, Address] = network.network_address, network.broadcast_address
        elif "-" in text:
            first, _, last = text.partition("-")
            ends = ip_address(first.strip()), ip_address(last.strip())
        else:
            ends = (ip_address(text),) * 2
    except ValueError:
        return None
    first_end, last_end = ends
    if first_end.version != last_end.version or int(first_end) > int(last_end):
        return None
    if isinstance(first_end, IPv6Address) and first_end.scope_id:
        return None
    if isinstance(first_end, IPv6Address) and isinstance(last_end, IPv6Address) and first_end.ipv4_mapped:
        inner, outer = first_end.ipv4_mapped, last_end.ipv4_mapped
        # Lists of what nobody routes hold the whole block, and do not mean all of IPv4.
        if outer is None or int(outer) - int(inner) == _WHOLE_V4:
            return None
        return Span(4, int(inner), int(outer))
    return Span(first_end.version, int(first_end), int(last_end))


def _name(text: str) -> Name | None:
    reach = Reach.SELF
    if text.startswith("*."):
        text, reach = text[2:], Reach.BELOW
    elif text.startswith("||") and text.endswith("^"):
        text, reach = text[2:-1], Reach.SELF | Reach.BELOW
    elif text.startswith("."):
        text, reach = text[1:], Reach.SELF | Reach.BELOW
    name = host_name(text if text.isascii() else _encoded(text))
    return Name(name, reach) if name is not None and "." in name else None


def _encoded(text: str) -> str:
    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return ""
