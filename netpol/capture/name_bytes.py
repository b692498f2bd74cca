"""Names of up to 255 bytes in many places of a block, compared and mixed eight bytes at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.capture.views import fetch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netpol.capture.views import Bytes, Ints, Mask

_OCTETS = np.dtype("<u8")
_MASKS: Final = np.array([(1 << 8 * size) - 1 for size in range(8)] + [0xFFFF_FFFF_FFFF_FFFF], np.uint64)
"""By number of bytes: the bits of so many in a word, the first byte lowest."""
_FOLD: Final = np.uint64(29)
WORDS: Final = 32
"""Words of the longest name."""


def same_bytes(data: Bytes, one: Ints, two: Ints, size: Ints) -> Mask:
    """bool[n]: whether `size` bytes are the same at both places, which start at most at the PAD of `data`."""
    differ = np.zeros(len(one), np.uint64)
    for begin in range(0, int(size.max(initial=0)), 8):
        part = _MASKS[np.clip(size - begin, 0, 8)]
        differ |= (fetch(data, one + begin, _OCTETS) ^ fetch(data, two + begin, _OCTETS)) & part
    same: Mask = differ == 0
    return same


def words_of(data: Bytes, at: Ints, size: Ints) -> NDArray[np.uint64]:
    """uint64[n, k]: `size` bytes at each place, and zeros behind them; k words hold the longest."""
    count = (int(size.max(initial=0)) + 7) // 8
    words = np.empty((len(at), count), np.uint64)
    for number in range(count):
        words[:, number] = fetch(data, at + 8 * number, _OCTETS)
        words[:, number] &= _MASKS[np.clip(size - 8 * number, 0, 8)]
    return words


def mixed_words(words: NDArray[np.uint64], factors: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """uint64[n]: a hash of each row; `factors`: uint64[WORDS + 1], odd."""
    mixed = np.zeros(len(words), np.uint64)
    for number in range(words.shape[1]):
        mixed ^= words[:, number] * factors[number]
        mixed ^= mixed >> _FOLD
        mixed *= factors[WORDS]
    return mixed
