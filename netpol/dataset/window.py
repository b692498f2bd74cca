"""What one observer saw in one stretch of time: the unit that is recorded, sent, acknowledged and kept."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from netpol.flows.records import empty
from netpol.names.part import NamesPart

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.flows.records import Records

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
RUN: Final = re.compile(r"[0-9a-f]{32}")
"""A run, and nothing else."""
_VERSION: Final = re.compile(r"[0-9A-Za-z.+-]{1,64}")


def is_observer(name: str) -> bool:
    """The name is one that a node can have (RFC 1123 subdomain)."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Losses:
    """What is missing from a window, as far as the observer knows. Each is a count of 0 or more.

    Attributes:
        kernel: Packets that matched the filter and found no room (PACKET_STATISTICS, packet(7)).
        evicted: Partial connections that found no room in the observer's table.
        undecodable: Packets that could not be decoded, by reason.
        windows: Windows of the same observer that were given up since the window before, because the disk or its
            allowance was full.
        records: Partial connections in those windows.
    """

    kernel: int = 0
    evicted: int = 0
    undecodable: Mapping[str, int] = field(default_factory=dict)
    windows: int = 0
    records: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """What one observer saw from `begin` to `end`.

    Attributes:
        observer: The node's name (RFC 1123 subdomain).
        run: 32 hexadecimal digits, drawn anew whenever the observer starts.
        number: Of the window within the run, from 0. `run` and `number` identify a window for ever.
        begin: Nanoseconds since the Unix epoch, inclusive.
        end: Exclusive; the packets of the records lie in between, but for the little by which clocks are put right.
        packets: Packets that the observer read for it.
        records: Partial connections, each of one 5-tuple, in any order. `netpol.flows.assemble` takes them like those
            of a capture; their packets and bytes are those that the observer's filter let through, plus the payload
            that sequence numbers tell of.
        names: What the packets said about names.
        losses: What is missing.
        interfaces: How many network interfaces were observed at its end.
        version: Of netpol, at the observer.
    """

    observer: str
    run: str
    number: int
    begin: int
    end: int
    packets: int = 0
    records: Records = field(default_factory=empty)
    names: NamesPart = field(default_factory=NamesPart)
    losses: Losses = field(default_factory=Losses)
    interfaces: int = 0
    version: str = "0"

    def __post_init__(self) -> None:
        if not is_observer(self.observer):
            raise ValueError("the observer's name is no DNS name")
        if not RUN.fullmatch(self.run) or not 0 <= self.number < 1 << 31:
            raise ValueError("run and number identify no window")
        if not 0 <= self.begin <= self.end < 1 << 63:
            raise ValueError("it ends before it begins, or after all time")
        if not _VERSION.fullmatch(self.version):
            raise ValueError("the version is no version")

    @property
    def identity(self) -> str:
        """The batch id: the same for the same window, for ever, and for no other."""
        return f"{self.run}-{self.number:08d}"
