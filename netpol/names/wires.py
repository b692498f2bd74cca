"""Names in wire form (RFC 1035, 3.1) to numbers of host names, many at once: each different one is looked at once."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from netpol.capture.name_bytes import WORDS, mixed_words, words_of
from netpol.capture.name_dns import HTTPS, SVCB
from netpol.capture.views import one_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netpol.capture.views import Bytes, Ints, Mask
    from netpol.names.texts import Texts

_FACTORS: Final = np.array([secrets.randbits(64) | 1 for _ in range(WORDS + 1)], np.uint64)
"""Secret, so that nobody can make names that collide. No result depends on them: collisions cost time only."""

_DOT, _HYPHEN = ord("."), ord("-")
_LOWER: Final = np.arange(256, dtype=np.uint8)
_LOWER[ord("A") : ord("Z") + 1] += 32
_LETTERS: Final = np.zeros(256, np.bool_)
_LETTERS[[*b"abcdefghijklmnopqrstuvwxyz0123456789-"]] = True
_DIGITS: Final = np.zeros(256, np.bool_)
_DIGITS[[*b"0123456789"]] = True
_ENCODED: Final = b"xn--"


class Wires(NamedTuple):
    """Names of questions.

    Attributes:
        data: uint8[m], with PAD bytes behind all names.
        at: int64[n], where the names start: labels with their lengths, the root at the end, nothing compressed.
        size: int64[n], bytes of each, at most 255.
        kind: uint16[n], the type that was asked for: names of service bindings have a port and a scheme before them.
    """

    data: Bytes
    at: Ints
    size: Ints
    kind: NDArray[np.uint16]

    @property
    def service(self) -> Mask:
        """bool[n]: asked for service bindings."""
        return one_of(self.kind, (SVCB, HTTPS))


def numbers_of(texts: Texts, names: Wires) -> Ints:
    """int64[n]: the numbers of names, NO_NAME where one is no host name; `texts` gives the numbers."""
    order, begins = _groups(names)
    heads = order[begins]
    counts = np.diff(begins, append=len(order))
    # Numbers are given in the order in which names are met, not in that of secret hashes: runs do not differ.
    met = np.argsort(heads)
    its = heads[met]
    found = np.empty(len(heads), np.int64)
    found[met] = _numbers(texts, Wires(names.data, names.at[its], names.size[its], names.kind[its]), counts[met])
    result = np.empty(len(order), np.int64)
    result[order] = np.repeat(found, counts)
    return result


def _groups(names: Wires) -> tuple[Ints, Ints]:
    """int64[n]: the names in an order in which equal ones stand together; int64[k]: where each group begins there."""
    # A name ends at its root, so no other name begins with all of it: zeros behind it change nothing.
    words = words_of(names.data, names.at, names.size)
    mixed = mixed_words(words, _FACTORS) ^ names.service
    order = np.argsort(mixed, kind="stable")
    ordered = mixed[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    words, service = words[order], names.service[order]
    new[1:] |= (words[1:] != words[:-1]).any(axis=1) | (service[1:] != service[:-1])
    return order, np.flatnonzero(new)


def _numbers(texts: Texts, names: Wires, counts: Ints) -> Ints:
    """int64[k]: the numbers of names, which are better all different; `counts`: how often each was met."""
    data, at, size, kind = names
    ends = np.cumsum(size)
    begins = ends - size
    octets = data[np.repeat(at - begins, size) + np.arange(int(ends[-1]) if len(ends) else 0)]
    lengths = _length_octets(octets, begins)
    plain = _plain(octets, begins, lengths)
    wire = octets.tobytes()
    text = _LOWER[octets]
    text[lengths] = _DOT
    whole = text.tobytes()
    plain &= ~names.service
    if _ENCODED in whole:
        plain &= np.array([_ENCODED not in whole[begin:end] for begin, end in _pairs(begins, ends)], np.bool_)
    result = texts.numbers_of_host_names(
        [whole[begin + 1 : end - 1] for begin, end in _pairs(begins[plain], ends[plain])]
    )
    numbers = np.empty(len(begins), np.int64)
    numbers[plain] = result
    others = np.flatnonzero(~plain)
    for index, begin, end in zip(others.tolist(), begins[others].tolist(), ends[others].tolist(), strict=True):
        numbers[index] = _slowly(texts, wire[begin:end], int(counts[index]), int(kind[index]))
    return numbers


def _pairs(begins: Ints, ends: Ints) -> zip[tuple[int, int]]:
    return zip(begins.tolist(), ends.tolist(), strict=True)


def _length_octets(octets: Bytes, begins: Ints) -> Mask:
    """bool[m]: which octets are lengths of labels, the roots' zeros among them."""
    lengths = np.zeros(len(octets), np.bool_)
    at = begins
    while len(at):
        lengths[at] = True
        size = octets[at]
        on = size != 0
        at = at[on] + size[on] + 1
    return lengths


def _plain(octets: Bytes, begins: Ints, lengths: Mask) -> Mask:
    """bool[k]: the names that are host names beyond doubt: letters, digits and hyphens that are inside a label.

    A name whose last label starts with a digit may be none, and is for `host_name` to judge.
    """
    good = _LETTERS[_LOWER[octets]]
    edge = np.zeros(len(octets), np.bool_)
    edge[:-1] = lengths[1:]
    edge[1:] |= lengths[:-1]
    good &= ~(edge & (octets == _HYPHEN))
    good |= lengths
    if not len(begins):
        return np.empty(0, np.bool_)
    plain = np.logical_and.reduceat(good, begins)
    sizes = np.diff(begins, append=len(octets))
    plain &= sizes > 2
    labels = np.flatnonzero(lengths)
    last = labels[np.searchsorted(labels, begins + sizes - 1) - 1]
    plain &= ~_DIGITS[octets[np.minimum(last + 1, len(octets) - 1)]]
    return plain


def _slowly(texts: Texts, wire: bytes, times: int, kind: int) -> int:
    labels = labels_of(wire)
    if kind in {SVCB, HTTPS}:
        # A service at a port that is not the usual one: `_8443._https.` before its name (RFC 9460, 9.1).
        while len(labels) > 1 and labels[0].startswith(b"_"):
            del labels[0]
    return texts.number(dotted(labels), times)


def labels_of(wire: bytes) -> list[bytes]:
    """The labels of a name, without the root."""
    labels = []
    at = 0
    while at < len(wire) and wire[at]:
        labels.append(wire[at + 1 : at + 1 + wire[at]])
        at += 1 + wire[at]
    return labels


def dotted(labels: list[bytes]) -> bytes:
    """Labels with dots between them.

    A dot inside a label is escaped, as in master files (RFC 1035, 5.1), so that it is not taken for one between two.
    """
    return b".".join(label.replace(b"\\", b"\\\\").replace(b".", b"\\.") for label in labels)
