"""Live packets: a packet socket whose packets the kernel writes into memory that netpol reads (TPACKET_V3, packet(7)).

The socket needs CAP_NET_RAW when it is opened and nothing else ever after. It listens on all interfaces of its network
namespace; which of them count, the filter says, so that pods can come and go without a new socket.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import select
import socket
import struct
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from netpol.capture.bpf import packed
from netpol.capture.live_blocks import DESCRIPTION, read_blocks
from netpol.capture.views import PAD
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.capture.bpf import Instruction
    from netpol.capture.live_blocks import Found

BLOCK: Final = 1 << 18
"""Bytes of a block: room for the largest packet that is kept many times over, and for thousands of SYNs."""
FEWEST_BLOCKS: Final = 4
MOST_BYTES: Final = 4 << 20
"""So much is copied out of the ring at once."""
_RETIRE: Final = 100
"""Milliseconds after which the kernel hands over a block that is not full."""

_LINUX: Final = "Live capture needs Linux with packet sockets"
_SOL_PACKET: Final = 263
_PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION = 5, 6, 10
_TPACKET_V3: Final = 2
_SO_ATTACH_FILTER: Final = 26
_ETH_P_ALL: Final = 0x0003
_FRAME: Final = 1 << 12  # what the kernel divides blocks by in older versions; it has no meaning in this one
_USER: Final = 1  # TP_STATUS_USER
_STATUS_AT: Final = 8


class Ring:
    """A live capture.

    Attributes:
        drops: Packets that matched the filter and found no room, so far.
        broken: Packets that were promised and not there.
    """

    def __init__(self, program: Sequence[Instruction], size: int) -> None:
        """Starts to listen.

        Args:
            program: The filter.
            size: Bytes of the ring, rounded to blocks.

        Raises:
            InputError: The kernel does not let this process listen, or has no room.
        """
        if not hasattr(socket, "AF_PACKET"):
            raise InputError("cannot listen to the network", remedy=_LINUX)
        self.drops = self.broken = 0
        self._next = 0
        self._blocks = max(FEWEST_BLOCKS, size // BLOCK)
        self._copy = np.zeros(MOST_BYTES + PAD, np.uint8)
        try:
            # Of no protocol: nothing arrives before the filter is there.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        except OSError as error:
            raise _refused(error) from error
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
            request = (BLOCK, self._blocks, _FRAME, BLOCK // _FRAME * self._blocks, _RETIRE, 0, 0)
            self._socket.setsockopt(_SOL_PACKET, _PACKET_RX_RING, struct.pack("=7I", *request))
            self._map = mmap.mmap(self._socket.fileno(), BLOCK * self._blocks)
            self.use(program)
            _listen(self._socket.fileno())
        except OSError as error:
            self._socket.close()
            raise _refused(error) from error
        self._data = np.frombuffer(self._map, np.uint8)

    def fileno(self) -> int:
        """For whoever waits for packets."""
        return self._socket.fileno()

    def use(self, program: Sequence[Instruction]) -> None:
        """Takes another filter in the place of the one before, between two packets."""
        buffer = ctypes.create_string_buffer(packed(program))
        argument = struct.pack("HP", len(program), ctypes.addressof(buffer))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, argument)

    def read(self) -> list[Found]:
        """What is there, at most MOST_BYTES of it, without waiting; empty if nothing is.

        It is valid until the next call. Blocks go back to the kernel before anything is decoded.
        """
        places: list[tuple[int, int]] = []
        filled = 0
        while len(places) < self._blocks:
            begin = self._next * BLOCK
            block = self._data[begin : begin + BLOCK]
            status = block[_STATUS_AT : _STATUS_AT + 4].view(np.uint32)
            if not status[0] & _USER:
                break
            length = min(int(block[: DESCRIPTION.itemsize].view(DESCRIPTION)["length"][0]), BLOCK)
            if filled + length > MOST_BYTES:
                break
            self._copy[filled : filled + length] = block[:length]
            status[0] = 0  # TP_STATUS_KERNEL
            places.append((filled, filled + length))
            filled += length + -length % 8
            self._next = (self._next + 1) % self._blocks
        if not places:
            return []
        found, broken = read_blocks(self._copy[: filled + PAD], places)
        self.broken += broken
        return found

    def count_drops(self) -> int:
        """Packets that found no room since the last call."""
        _, dropped, _ = struct.unpack("=3I", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 12))
        self.drops += dropped
        return int(dropped)

    def wait(self, seconds: float) -> None:
        """Until a block is handed over, or for so long."""
        select.select([self], [], [], seconds)

    def close(self) -> None:
        """Stops listening."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _LinkAddress(ctypes.Structure):
    """`struct sockaddr_ll`: the standard library cannot bind to all interfaces."""

    _fields_ = (
        ("family", ctypes.c_ushort),
        ("protocol", ctypes.c_ushort),
        ("index", ctypes.c_int),
        ("rest", ctypes.c_ubyte * 12),
    )


def _listen(number: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    address = _LinkAddress(family=socket.AF_PACKET, protocol=socket.htons(_ETH_P_ALL), index=0)
    if library.bind(number, ctypes.byref(address), ctypes.sizeof(address)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _refused(error: OSError) -> InputError:
    remedy = {
        errno.EPERM: "Run it as root, or give it the capability NET_RAW",
        errno.ENOMEM: "Give it a smaller --buffer, or the machine more memory",
        errno.EAFNOSUPPORT: _LINUX,
        errno.EPROTONOSUPPORT: _LINUX,
    }.get(error.errno or 0, "")
    return InputError(f"cannot listen to the network: {os.strerror(error.errno or 0)}", remedy=remedy)
