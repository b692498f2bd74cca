"""conntrack(8): what `conntrack -L` and `conntrack -E` print, and /proc/net/nf_conntrack, an entry or event a line.

The kernel's table knows who opened a connection and both of its sides: before translation (the original tuple) and
after it (the reply tuple, the other way round). The pod behind a Service's address is the source of the reply; who
connected is the source of the original. States: nf_conntrack_proto_tcp.c. A listing has no times: its file's last
change has to do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from netpol.model.flow import ICMP, ICMPV6, SCTP, TCP, UDP, Outcome
from netpol.sources.builder import Whole, end_of
from netpol.sources.tally import Passed
from netpol.sources.times import of_epoch

if TYPE_CHECKING:
    from netpol.sources.builder import End

UNTOLD: Final = (
    "times, in a listing",
    "packets and bytes, unless nf_conntrack_acct is on",
    "which connections another node tells of as well: they count on both",
)

_PROTOCOLS: Final = {"tcp": TCP, "udp": UDP, "sctp": SCTP, "icmp": ICMP, "icmpv6": ICMPV6, "ipv6-icmp": ICMPV6}
_PAIR: Final = re.compile(r"(?<![a-z_-])([a-z_-]{1,32})=(\S*)", re.ASCII)
_LONGEST_ENTRY: Final = 1 << 12
"""Bytes: two tuples, labels and all that may stand behind them."""
_EVENT: Final = re.compile(r"\[(NEW|UPDATE|DESTROY)\]", re.ASCII)
_STAMP: Final = re.compile(r"\[(\d[\d.]*)\s*\]", re.ASCII)
_OPEN: Final = frozenset({"SYN_SENT", "SYN_SENT2", "SYN_RECV", "COOKIE_WAIT", "COOKIE_ECHOED", "NONE", "UNREPLIED"})
_STATES: Final = _OPEN | {
    *("ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "LISTEN", "CLOSED"),
    *("SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """What one line says of a connection.

    Attributes:
        client: Who opened it, as itself wrote its address.
        server: Who answers, after translation.
        state: TCP's and SCTP's, empty for others and where an event does not tell.
        assured: Packets went both ways in earnest (IPS_ASSURED).
        replied: Something came back (IPS_SEEN_REPLY).
        event: `NEW`, `UPDATE`, `DESTROY`, or empty in a listing.
        first: When it was first heard of, nanoseconds since the Unix epoch; None where the lines do not tell.
        time: When it was last heard of, the same.
        packets: Of both ways, 0 where nobody counted.
        bytes: The same.
    """

    protocol: int
    client: End
    server: End
    state: str
    assured: bool
    replied: bool
    event: str
    first: int | None
    time: int | None
    packets: int
    bytes: int

    @property
    def key(self) -> tuple[int, End, End]:
        """What is the same in all events of a connection; a client's port that is used again tells the next one."""
        return self.protocol, self.client, self.server

    def followed_by(self, later: Tracked) -> Tracked:
        """The same connection after a later event, which need not repeat what is known."""
        return replace(
            later,
            state=later.state or self.state,
            assured=later.assured or self.assured,
            replied=later.replied or self.replied,
            first=self.first,
            packets=max(self.packets, later.packets),
            bytes=max(self.bytes, later.bytes),
        )

    @property
    def outcome(self) -> Outcome:
        """What became of it, as far as is told; a reset in answer to a SYN ends an entry before it has a reply."""
        if self.state in {"CLOSE", "CLOSED"} and not self.assured:
            return Outcome.REFUSED
        if not self.replied:
            return Outcome.UNANSWERED
        if self.protocol not in {TCP, SCTP} or self.assured:
            return Outcome.ESTABLISHED
        return Outcome.UNANSWERED if self.state in _OPEN else Outcome.ESTABLISHED

    @property
    def whole(self) -> Whole:
        """What is known of it."""
        return Whole(
            protocol=self.protocol,
            client=self.client,
            server=self.server,
            outcome=self.outcome,
            two_way=self.assured or self.protocol == UDP,
            first=self.first,
            last=self.time,
            packets=self.packets,
            bytes=self.bytes,
        )


def read_line(line: bytes) -> Tracked | Passed:
    """The connection of one line, or why it says nothing: that is none that can be used.

    Raises:
        ValueError: It cannot be read; the message says why.
    """
    if len(line) > _LONGEST_ENTRY:
        raise ValueError("longer than an entry of conntrack")
    text = line.decode("ascii", "strict")
    if text.startswith("conntrack v"):
        return Passed("conntrack: its closing line")
    protocol = next((_PROTOCOLS[word] for word in text.split()[:6] if word in _PROTOCOLS), None)
    if protocol is None:
        if " src=" in text:
            return Passed("conntrack: protocol without ports")
        raise ValueError("not an entry of conntrack")
    sides = _sides(text)
    event = _EVENT.search(text)
    stamp = _STAMP.match(text.lstrip())
    time = of_epoch(stamp[1]) if stamp else None
    client, server = _ends(protocol, sides)
    return Tracked(
        protocol=protocol,
        client=client,
        server=server,
        state=next((word for word in text.split(" src=")[0].split() if word in _STATES), ""),
        assured="[ASSURED]" in text,
        replied="[UNREPLIED]" not in text,
        event=event[1] if event else "",
        first=time,
        time=time,
        packets=sum(_number(side, "packets") for side in sides),
        bytes=sum(_number(side, "bytes") for side in sides),
    )


def _sides(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """The original tuple and the reply's, each with its counters."""
    sides: list[dict[str, str]] = []
    for name, value in _PAIR.findall(text):
        if name == "src":
            sides.append({})
        if sides:
            sides[-1].setdefault(name, value)
    if len(sides) != 2 or any("dst" not in side for side in sides):
        raise ValueError("an entry without both of its sides")
    return sides[0], sides[1]


def _ends(protocol: int, sides: tuple[dict[str, str], dict[str, str]]) -> tuple[End, End]:
    """Who opened it and who answers."""
    original, reply = sides
    if protocol in {ICMP, ICMPV6}:
        client, server = end_of(original["src"]), end_of(reply["src"])
    else:
        client = end_of(original["src"], _port(original, "sport"))
        server = end_of(reply["src"], _port(reply, "sport"))
    if client.family != server.family:
        raise ValueError("addresses of two families")
    return client, server


def _port(side: dict[str, str], name: str) -> int:
    text = side.get(name, "")
    if not text.isdecimal():
        raise ValueError(f"no {name}")
    return int(text)


def _number(side: dict[str, str], name: str) -> int:
    text = side.get(name, "0")
    return int(text) if text.isdecimal() and len(text) < 16 else 0
