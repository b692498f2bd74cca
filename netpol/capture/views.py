"""Overlapping views on bytes: header fields of many packets are fetched with one fancy index each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Structured = NDArray[Any]

HEAD = 80
"""So many bytes of each frame are fetched together with its record header: enough for IPv6 and TCP on Ethernet. To
fetch them later would wait for memory a second time."""

PAD = 256
"""So many bytes behind the valid part of a block may be fetched (never used), so that no fetch needs a bounds check."""


def one_of(values: NDArray[Any], options: Iterable[int]) -> Mask:
    """bool[n]: which values are among a few options. For so few, comparing beats `np.isin`, which sorts."""
    found = np.zeros(len(values), np.bool_)
    for option in options:
        found |= values == option
    return found


def firsts(ordered: NDArray[Any]) -> Ints:
    """int64[k], ascending: where each of the different values begins in a sorted column.

    With it, `np.unique` is not needed, which would import NumPy's masked arrays: 14 ms at every start.
    """
    new = np.ones(len(ordered), np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    return np.flatnonzero(new)


def distinct(values: NDArray[Any]) -> NDArray[Any]:
    """The different values, sorted."""
    ordered = np.sort(values)
    return ordered[firsts(ordered)]


def counted(values: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """The different values, ascending, and how often each occurs."""
    ordered = np.sort(values)
    begins = firsts(ordered)
    return zip(ordered[begins].tolist(), np.diff(begins, append=len(ordered)).tolist(), strict=True)


def fetch(data: Bytes, at: Ints, layout: np.dtype[Any]) -> Structured:
    """The structures of `layout` that start at the byte positions `at`.

    A view with one element per byte is indexed as opaque bytes, which copies each header in one go instead of field
    by field.

    Args:
        data: uint8[m], contiguous.
        at: int64[n], each at most m - layout.itemsize.
        layout: Structured or plain; its fields may have any byte order.

    Returns:
        layout[n], contiguous.
    """
    size = layout.itemsize
    overlapping = np.ndarray((len(data) - size + 1,), f"V{size}", data.data, strides=(1,))
    return overlapping[at].view(layout)
