"""AWS VPC flow logs: text in the default format (version 2), and any other format that a heading line names.

Fields: Amazon VPC user guide, "Flow log records". A record is what one network interface saw in one direction in up to
ten minutes, so both directions make a connection only together. `tcp-flags` is the OR of FIN, SYN, RST and SYN-ACK;
acknowledgements alone are not told: a FIN carries one, and so do records that are larger than SYNs could make them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from netpol.flows.records import ACK, DATA, FIN, RST, SEEN, SYN, SYNACK
from netpol.model.flow import PORT_PROTOCOLS, TCP, UDP
from netpol.sources.builder import Entry, end_of, identity_of
from netpol.sources.tally import Passed
from netpol.sources.times import of_epoch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


UNTOLD: Final = (
    "what stays on one node",
    "whom a node's address stands for, where the node rewrites it, and which pod a Service's address",
    "handshakes, and whether small packets carry data, in the default format (tcp-flags tell both)",
    "times closer than the aggregation interval",
    "link-layer bytes",
)

DEFAULT: Final[tuple[str, ...]] = (
    *("version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol"),
    *("packets", "bytes", "start", "end", "action", "log-status"),
)
"""The fields of version 2, where no heading names others."""

_EXPORTED: Final = re.compile(r"\d{4}-\d\d-\d\dT\S{8,20}", re.ASCII)
"""CloudWatch Logs writes the time of delivery before each record that it exports."""
_NEEDED: Final = ("srcaddr", "dstaddr", "srcport", "dstport", "protocol", "start", "end", "action")
_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
_LARGEST_SYN: Final = 60
"""Bytes of an IPv4 packet with a SYN and the options that systems send; an IPv6 one is 20 longer."""
_LARGEST_ACK: Final = 52
"""The same of an acknowledgement with timestamps. What selective ones add does not matter: data was answered then."""


def heading(line: str) -> tuple[str, ...] | None:
    """The fields that a heading names, None where the line is none."""
    fields = tuple(line.replace("_", "-").split())
    return fields if "srcaddr" in fields and "dstaddr" in fields else None


def lacking(fields: Sequence[str]) -> tuple[str, ...]:
    """Fields that nothing can be said without."""
    return tuple(name for name in _NEEDED if name not in fields)


def read_record(fields: Sequence[str], line: str) -> Entry | Passed:
    """What one record says, or why it says nothing: that is nothing that can be used.

    Raises:
        ValueError: It cannot be read; the message says why.
    """
    values = line.split()
    if len(values) == len(fields) + 1 and _EXPORTED.fullmatch(values[0]):
        values = values[1:]
    if len(values) != len(fields):
        raise ValueError(f"not the {len(fields)} fields that were announced")
    row = dict(zip(fields, values, strict=True))
    status = row.get("log-status", "OK")
    if status == "SKIPDATA":
        return Passed("VPC: records were skipped here (SKIPDATA)", lost=1)
    if status == "NODATA" or row["action"] == "-":
        return Passed("VPC: no traffic (NODATA)")
    if row["action"] not in {"ACCEPT", "REJECT"}:
        raise ValueError("an action that is none")
    return _entry(row)


def _entry(row: Mapping[str, str]) -> Entry:
    protocol = _number(row, "protocol")
    if protocol > 255:
        raise ValueError("a protocol that is none")
    ports = protocol in PORT_PROTOCOLS
    sender = end_of(_address(row, "srcaddr"), _number(row, "srcport") if ports else 0)
    receiver = end_of(_address(row, "dstaddr"), _number(row, "dstport") if ports else 0)
    if sender.family != receiver.family:
        raise ValueError("addresses of two families")
    first, last = of_epoch(row["start"]), of_epoch(row["end"])
    if last < first:
        raise ValueError("it ends before it begins")
    rejected = row["action"] == "REJECT"
    events = _events(row, protocol)
    if rejected:
        events &= SEEN | SYN | DATA
    answers = bool(events & SYNACK)
    client, server = (receiver, sender) if answers else (sender, receiver)
    return Entry(
        one=client,
        other=server,
        protocol=protocol,
        first=first,
        last=last,
        events_of_one=0 if answers else events,
        events_of_other=events if answers else 0,
        opened=protocol == TCP and bool(events & SYN),
        answered=answers,
        identity=identity_of(f"{client}{server}"),
        packets=max(1, _number(row, "packets", 1)),
        bytes=_number(row, "bytes", 0),
    )


def _events(row: Mapping[str, str], protocol: int) -> int:
    """Of the sender."""
    if protocol == UDP:
        return SEEN | DATA
    if protocol != TCP:
        return SEEN
    flags = _number(row, "tcp-flags", 0)
    events = SEEN | (FIN | ACK if flags & _FIN else 0) | (RST if flags & _RST else 0)
    if flags & _SYN:
        events |= SYNACK if flags & _ACK else SYN
    packets, size = _number(row, "packets", 0), _number(row, "bytes", 0)
    opens = flags & _SYN or "tcp-flags" not in row
    largest = (_LARGEST_SYN if opens else _LARGEST_ACK) + 20 * (":" in row["srcaddr"])
    return events | (DATA | ACK if packets and size > packets * largest else 0)


def _address(row: Mapping[str, str], name: str) -> str:
    """The packet's own address, where the format has it beside the interface's."""
    packet = row.get(f"pkt-{name}", "-")
    return row[name] if packet == "-" else packet


def _number(row: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = row.get(name, "-")
    if text == "-" and default is not None:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 15:
        raise ValueError(f"{name} is no number")
    return int(text)
