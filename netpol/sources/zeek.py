"""Zeek: conn.log, and dns.log and ssl.log for names; as tab-separated values and as JSON, a connection a line.

Fields and the letters of `history`: Zeek's documentation of base/protocols/conn/main.zeek (Conn::Info). Each entry is a
connection, and `uid` its name. Zeek's originator of a connection whose beginning it did not see is a guess: there
netpol's own evidence decides. Entries about a tunnel's own packets are passed over: what is inside has entries too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from netpol.flows.records import ACK, DATA, FIN, RST, SEEN, SYN, SYNACK
from netpol.model.flow import ICMP, ICMPV6, SCTP, TCP, UDP
from netpol.sources.builder import Entry, end_of, identity_of
from netpol.sources.tally import Passed
from netpol.sources.times import of_epoch, of_nanoseconds, of_rfc3339, of_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping


UNTOLD: Final = (
    "link-layer bytes",
    "what a Service's address and the pod behind it have in common: a connection counts under both",
)

_PROTOCOLS: Final = {"tcp": TCP, "udp": UDP, "sctp": SCTP}
_TUNNEL_PORTS: Final = frozenset({4789, 8472, 6081, 4754})
_LETTERS: Final = {"S": SYN, "H": SYNACK, "A": ACK, "D": DATA | ACK, "F": FIN | ACK, "R": RST}
_STATES: Final[Mapping[str, tuple[int, int]]] = {
    "S0": (SYN, 0),
    "S1": (SYN | ACK, SYNACK),
    "SF": (SYN | ACK | DATA | FIN, SYNACK | ACK | DATA | FIN),
    "REJ": (SYN, RST),
    "S2": (SYN | ACK | FIN, SYNACK | ACK),
    "S3": (SYN | ACK, SYNACK | ACK | FIN),
    "RSTO": (SYN | ACK | RST, SYNACK),
    "RSTR": (SYN | ACK, SYNACK | RST),
    "RSTOS0": (SYN | RST, 0),
    "RSTRH": (0, SYNACK | RST),
    "SH": (SYN | FIN | ACK, 0),
    "SHR": (0, SYNACK | FIN | ACK),
    "OTH": (0, 0),
}
"""What `conn_state` says of both sides, where `history` was left out."""

_UNSET: Final = frozenset({"-", "(empty)", ""})


class Header:
    """What the comment lines of a tab-separated log say of the lines that follow.

    Attributes:
        path: `conn`, `dns`, `ssl`, ...
        fields: Names of the columns.
    """

    def __init__(self) -> None:
        self.path = ""
        self.fields: tuple[str, ...] = ()
        self._separator = "\t"

    def take(self, line: str) -> None:
        """A line that begins with #."""
        if line.startswith("#separator "):
            self._separator = line.removeprefix("#separator ").encode().decode("unicode_escape")
            return
        name, *values = line.split(self._separator)
        if name == "#path" and values:
            self.path = values[0]
        elif name == "#fields":
            self.fields = tuple(values)

    def row(self, line: str) -> dict[str, str]:
        """A line as a mapping; fields that are not set are not in it.

        Raises:
            ValueError: It has not as many columns as fields were announced.
        """
        values = line.split(self._separator)
        if not self.fields:
            raise ValueError("no heading says what the columns mean")
        if len(values) != len(self.fields):
            raise ValueError(f"not the {len(self.fields)} columns that were announced")
        return {name: value for name, value in zip(self.fields, values, strict=True) if value not in _UNSET}


def path_of(row: Mapping[str, Any]) -> str:
    """Which log a JSON entry without `_path` is of, by the fields that only this log has."""
    if "query" in row or "trans_id" in row:
        return "dns"
    if "server_name" in row or "cipher" in row:
        return "ssl"
    return "conn" if "conn_state" in row or "orig_pkts" in row else ""


def read_connection(row: Mapping[str, Any]) -> Entry | Passed:
    """What one entry of conn.log says, or why it says nothing: that is nothing that can be used.

    Raises:
        ValueError: It cannot be read; the message says why.
    """
    one = end_of(text_of(row, "id.orig_h"))
    other = end_of(text_of(row, "id.resp_h"))
    if one.family != other.family:
        raise ValueError("addresses of two families")
    first = time_of(row)
    last = of_nanoseconds(first + _duration(row.get("duration", 0)))
    packets = number_of(row, "orig_pkts"), number_of(row, "resp_pkts")
    size = number_of(row, "orig_ip_bytes") + number_of(row, "resp_ip_bytes")
    name = text_of(row, "proto")
    if name == "icmp":
        mine, theirs = _ping_events(row, one.family, packets)
        return Entry(
            one=one, other=other, protocol=ICMP if one.family == 4 else ICMPV6, first=first, last=last,
            events_of_one=mine, events_of_other=theirs, packets=max(1, sum(packets)), bytes=size,
        )  # fmt: skip
    protocol = _PROTOCOLS.get(name)
    if protocol is None:
        return Passed("Zeek: another protocol")
    one, other = one._replace(port=_port(row, "id.orig_p")), other._replace(port=_port(row, "id.resp_p"))
    if protocol == UDP and other.port in _TUNNEL_PORTS:
        return Passed("Zeek: packets of a tunnel")
    mine, theirs = _events(row, protocol, packets)
    handshake = protocol != UDP
    return Entry(
        one=one,
        other=other,
        protocol=protocol,
        first=first,
        last=last,
        events_of_one=mine,
        events_of_other=theirs,
        opened=handshake and bool(mine & SYN),
        answered=handshake and bool(theirs & SYNACK),
        identity=identity_of(str(row.get("uid", f"{one}{other}{first}"))),
        packets=max(1, sum(packets)),
        bytes=size,
    )


def _ping_events(row: Mapping[str, Any], family: int, packets: tuple[int, int]) -> tuple[int, int]:
    """ICMP: Zeek writes type and code in the place of ports, and an answered echo as one conversation."""
    echo = number_of(row, "id.orig_p") == (8 if family == 4 else 128)
    mine = SEEN | (SYN if echo else 0) if packets[0] or not packets[1] else 0
    theirs = SEEN | (SYNACK if echo else 0) if packets[1] else 0
    return mine, theirs


def _events(row: Mapping[str, Any], protocol: int, packets: tuple[int, int]) -> tuple[int, int]:
    """Events of originator and responder."""
    seen = (SEEN if packets[0] else 0), (SEEN if packets[1] else 0)
    history = str(row.get("history", ""))
    if protocol == UDP:
        mine, theirs = (SEEN | DATA if letter in history else 0 for letter in "Dd")
        return mine | seen[0], theirs | seen[1]
    if protocol == SCTP:
        return seen
    mine = theirs = 0
    if history:
        for letter in history:
            event = _LETTERS.get(letter.upper(), 0)
            if letter.isupper():
                mine |= SEEN | event
            elif letter.islower():
                theirs |= SEEN | event
        return mine | seen[0], theirs | seen[1]
    mine, theirs = _STATES.get(str(row.get("conn_state", "OTH")), (0, 0))
    return (mine and mine | SEEN) | seen[0], (theirs and theirs | SEEN) | seen[1]


def text_of(row: Mapping[str, Any], name: str) -> str:
    """A field that has to be there.

    Raises:
        ValueError: It is not.
    """
    value = row.get(name)
    if not isinstance(value, str):
        raise ValueError(f"no {name}")  # noqa: TRY004 - what is wrong is the log, not a type in this program
    return value


def number_of(row: Mapping[str, Any], name: str) -> int:
    """A count, 0 where the field is not set.

    Raises:
        ValueError: It is none.
    """
    value = row.get(name, 0)
    decimal = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 17
    number = int(value) if isinstance(value, int) or decimal else -1
    if not 0 <= number < 1 << 50:
        raise ValueError(f"{name} is no count")
    return number


def time_of(row: Mapping[str, Any]) -> int:
    """`ts` in nanoseconds: seconds since the epoch, or in JSON, where Zeek was asked to, RFC 3339.

    Raises:
        ValueError: It is none.
    """
    value = row.get("ts")
    if isinstance(value, int | float):
        return of_seconds(float(value))
    text = text_of(row, "ts")
    return of_rfc3339(text) if "T" in text else of_epoch(text)


def _port(row: Mapping[str, Any], name: str) -> int:
    port = number_of(row, name)
    if port > 65535:
        raise ValueError("a port beyond 65535")
    return port


def _duration(value: object) -> int:
    seconds = float(value) if isinstance(value, int | float | str) else -1.0
    if not 0 <= seconds < 1e9:
        raise ValueError("duration is no duration")
    return round(seconds * 1_000_000) * 1000
