"""Which name the connections to one address were for, where several led there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netpol.model.outside import Grade
from netpol.names.found import MOST_NAMES, Candidate, Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netpol.graph.observation import Evidence
    from netpol.model.host_name import HostName


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """What of the connections to one address and port was for one name, or for none that is known.

    Attributes:
        connections: At least one.
        bytes: In proportion: which connection moved how much is not known by name.
    """

    name: HostName | None
    grade: Grade
    connections: int
    bytes: int
    first_seen: int
    last_seen: int


def portions(found: Found, evidence: Evidence) -> list[Portion]:
    """Divides the connections among the names.

    Names that handshakes carried have the connections, in proportion to their handshakes: one connection may carry
    several requests, and a handshake may be cut off. If there are more connections than handshakes, the other names
    that led to the address may be what the rest was for: each of them is ambiguous and counts all of the rest.

    Where DNS alone names the address, each name counts all connections, and several of them are ambiguous.

    More than MOST_NAMES ambiguous names are none: the connections are for the address.

    Args:
        found: The names that led there.
        evidence: The connections to the address and port.
    """
    named = [item for item in found.candidates if item.handshakes]
    unnamed = [item.name for item in found.candidates if not item.handshakes]
    if not found.candidates:
        return [_all(None, Grade.NONE, evidence)]
    if not named and (found.more or len(unnamed) > MOST_NAMES):
        return [_all(None, Grade.NONE, evidence)]
    if not named:
        alone = len(unnamed) == 1
        return [_all(item.name, item.grade if alone else Grade.AMBIGUOUS, evidence) for item in found.candidates]
    parts = _by_handshakes(named, evidence)
    rest = evidence.connections - sum(item.handshakes for item in named)
    if rest > 0:
        size = evidence.bytes * rest // evidence.connections
        left = replace(evidence, connections=rest, bytes=size)
        others = sorted({*unnamed, *found.sharing})
        if found.more or len(others) > MOST_NAMES:
            parts.append(_all(None, Grade.NONE, left))
        else:
            parts += [_all(name, Grade.AMBIGUOUS, left) for name in others]
    return parts


def _by_handshakes(named: Sequence[Candidate], evidence: Evidence) -> list[Portion]:
    if len(named) == 1:
        return [_all(named[0].name, named[0].grade, evidence)]
    weights = [item.handshakes for item in named]
    shares = zip(apportion(evidence.connections, weights), apportion(evidence.bytes, weights), strict=True)
    return [
        Portion(
            name=item.name,
            grade=item.grade,
            connections=max(1, connections),
            bytes=size,
            first_seen=_within(evidence, item.first),
            last_seen=_within(evidence, item.last),
        )
        for item, (connections, size) in zip(named, shares, strict=True)
    ]


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Whole shares of `total` in proportion to the weights, which add up to it (largest remainder; first of equals).

    Args:
        total: At least 0.
        weights: All positive, at least one.
    """
    whole = sum(weights)
    shares = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda index: (-(total * weights[index] % whole), index))
    for index in by_remainder[: total - sum(shares)]:
        shares[index] += 1
    return shares


def together(found: Iterable[Found]) -> Found:
    """What several clients know of one address: each name once, handshakes together, the best grade.

    How many more names each of them was led there by is known, not whether these are the same: the most counts.
    """
    merged: dict[HostName, Candidate] = {}
    sharing: set[HostName] = set()
    remarks: set[str] = set()
    more = 0
    for answer in found:
        more = max(more, answer.more)
        sharing.update(answer.sharing)
        remarks.update(answer.remarks)
        for item in answer.candidates:
            known = merged.get(item.name)
            merged[item.name] = item if known is None else _both(known, item)
    return Found(
        candidates=tuple(merged[name] for name in sorted(merged)),
        sharing=tuple(sorted(sharing - merged.keys())),
        more=more,
        remarks=tuple(sorted(remarks)),
    )


def _both(one: Candidate, other: Candidate) -> Candidate:
    return Candidate(
        name=one.name,
        grade=min(one.grade, other.grade),
        handshakes=one.handshakes + other.handshakes,
        first=min(one.first, other.first),
        last=max(one.last, other.last),
    )


def _all(name: HostName | None, grade: Grade, evidence: Evidence) -> Portion:
    return Portion(
        name=name,
        grade=grade,
        connections=evidence.connections,
        bytes=evidence.bytes,
        first_seen=evidence.first_seen,
        last_seen=evidence.last_seen,
    )


def _within(evidence: Evidence, time: int) -> int:
    """A DNS answer comes before the first packet and holds beyond the last."""
    return min(max(time, evidence.first_seen), evidence.last_seen)
