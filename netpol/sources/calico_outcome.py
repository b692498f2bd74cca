"""What became of connections of which only packets and bytes of both directions are known, added up."""

from __future__ import annotations

from typing import Final, NamedTuple

from netpol.model.flow import UDP, Outcome

_RESET: Final = {4: 40, 6: 60}
"""Bytes of an IP packet with a TCP reset: it has no options, and no TCP packet is smaller (RFC 9293, 3.10.7.1)."""
_LARGEST_EMPTY: Final = {4: 60, 6: 80}
"""Bytes of the largest TCP packet that carries nothing: a SYN with the options that systems send."""
_LARGEST_SYN: Final = 100
"""Bytes of a SYN with all options that TCP has room for, in IPv6."""
_HANDSHAKE: Final = 3, 2
"""Packets to the server and back for each connection that came about; an attempt that was refused, or that nobody
answered to the end, has fewer."""


class Counts(NamedTuple):
    """What is told of a flow.

    Attributes:
        packets: In and out of the pod that reports.
        size: Bytes of the same, with IP headers.
        started: Connections that began in it; None where that is not told.
        family: 4 or 6; None where that is not told.
        source_tells: Who reports is the client.
    """

    packets: tuple[int, int]
    size: tuple[int, int]
    started: int | None
    family: int | None
    source_tells: bool


def outcome_of(protocol: int, counts: Counts, *, allowed: bool) -> tuple[Outcome, bool]:
    """The outcome, and whether data went both ways.

    A SYN and the reset in answer are packets both ways, too. What shows that connections worked: more bytes than
    packets that carry nothing have room for, or as many packets as a handshake and an end need at least. Where the
    log tells no addresses, IPv6 has to be reckoned with, unless packets are smaller than IPv6's are.
    """
    both = min(counts.packets) > 0
    if not allowed or not both:
        return Outcome.UNANSWERED, False
    if protocol == UDP:
        return Outcome.ESTABLISHED, True
    small = any(size < count * _RESET[6] for size, count in zip(counts.size, counts.packets, strict=True))
    family = counts.family or (4 if small else None)
    back = 0 if counts.source_tells else 1
    resets = [number for number, size in _RESET.items() if counts.size[back] == counts.packets[back] * size]
    if family in resets and counts.started:
        return Outcome.REFUSED, False
    limit = _LARGEST_SYN if resets else _LARGEST_EMPTY[family or 6]
    carried = [size > count * limit for size, count in zip(counts.size, counts.packets, strict=True)]
    if any(carried):
        return Outcome.ESTABLISHED, all(carried)
    there, answers = counts.packets[1 - back], counts.packets[back]
    if counts.started and not resets:
        worked = there >= counts.started * _HANDSHAKE[0] and answers >= counts.started * _HANDSHAKE[1]
        return (Outcome.ESTABLISHED if worked else Outcome.UNKNOWN), worked
    return Outcome.UNKNOWN, False
