"""Aliases in DNS answers: a name that no list has may stand for one that a list names (CNAME, RFC 1034, 3.6.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.capture.name_dns import AAAA, HEADER, A, aliases_of
from netpol.capture.name_evidence import Answers
from netpol.capture.views import PAD, fetch

if TYPE_CHECKING:
    from collections.abc import Callable

    from netpol.capture.views import Bytes, Ints

_COUNT: Final = np.dtype(">u2")
_PLAIN: Final = np.dtype([("owner", ">u2"), ("kind", ">u2"), ("rest", "V6"), ("size", ">u2")])
_ASKED: Final = 0xC000 | HEADER
"""The pointer to the question's name, by which nearly all records without aliases begin."""
_LONGEST_MESSAGE: Final = 1 << 16


def by_aliases(answers: Answers, wanted: Callable[[bytes], bool]) -> Answers | None:
    """The same answers under each alias that they lead through, None where there is none: as if it had been asked for.

    Each is one and the same exchange as the answer that it comes from.

    Args:
        answers: Answers as they were captured.
        wanted: Which aliases count; asked with names in wire form.
    """
    data = answers.data
    sources: list[int] = []
    names: list[bytes] = []
    for index in _candidates(answers).tolist():
        at = int(answers.name_at[index]) - HEADER
        found = [name for name in aliases_of(data[at : at + _LONGEST_MESSAGE].tobytes()) if wanted(name)]
        sources += [index] * len(found)
        names += found
    if not names:
        return None
    source = np.array(sources, np.int64)
    size = np.array([len(name) for name in names], np.int64)
    message, its = _pairs(answers.message, source)
    return Answers(
        data=np.frombuffer(b"".join(names) + bytes(PAD), np.uint8),
        name_at=np.cumsum(size) - size,
        name_size=size,
        time=answers.time[source],
        client=answers.client[source],
        exchange=answers.exchange[source],
        kind=np.full(len(names), A, np.uint16),
        outcome=answers.outcome[source],
        message=message,
        address=answers.address[its],
        life=answers.life[its],
    )


def _candidates(answers: Answers) -> Ints:
    """Which answers may hold aliases: all but those of nothing but addresses of the name that was asked for."""
    data = answers.data
    left = _count(data, answers.name_at - HEADER + 6)
    at = answers.name_at + answers.name_size + 4
    busy = np.flatnonzero(left)
    odd = [np.empty(0, np.int64)]
    while len(busy):
        fields = fetch(data, np.minimum(at[busy], len(data) - _PLAIN.itemsize), _PLAIN)
        kind, size = fields["kind"], fields["size"]
        plain = (fields["owner"] == _ASKED) & (((kind == A) & (size == 4)) | ((kind == AAAA) & (size == 16)))
        odd.append(busy[~plain])
        busy, size = busy[plain], size[plain]
        at[busy] += _PLAIN.itemsize + size.astype(np.int64)
        left[busy] -= 1
        busy = busy[(left[busy] > 0) & (at[busy] + _PLAIN.itemsize <= len(data))]
    return np.sort(np.concatenate(odd))


def _count(data: Bytes, at: Ints) -> Ints:
    return fetch(data, at, _COUNT).astype(np.int64)


def _pairs(message: Ints, source: Ints) -> tuple[Ints, Ints]:
    """For each address of each source: which alias it is of, and which address it is."""
    order = np.argsort(message, kind="stable")
    ordered = message[order]
    begin, end = np.searchsorted(ordered, source, "left"), np.searchsorted(ordered, source, "right")
    counts = end - begin
    alias = np.repeat(np.arange(len(source)), counts)
    within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    return alias, order[np.repeat(begin, counts) + within]
