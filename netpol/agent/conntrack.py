"""TCP connections that the kernel tracks already when the agent starts: who opened them, and which pod answers.

They are older than the agent, so no packet will tell. Of the kernel's table of connections those count that are
established and carried packets both ways (IPS_ASSURED). The original tuple has the client as it is, the reply's source
is the server after address translation.

The table is read over netlink (nfnetlink_conntrack.h), which takes CAP_NET_ADMIN, or from /proc/net/nf_conntrack, which
takes none, but is not in every kernel (CONFIG_NF_CONNTRACK_PROCFS).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netpol.errors import InputError
from netpol.flows.records import DATA, SEEN
from netpol.model.flow import TCP
from netpol.sources.builder import End, Entry, records_of
from netpol.sources.conntrack import read_line
from netpol.sources.tally import Passed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.flows.records import Records

MOST: Final = 1 << 16
"""Connections that are taken; a node has some thousands."""
_TABLE: Final = Path("/proc/net/nf_conntrack")

_NETLINK_NETFILTER: Final = 12
_GET, _DUMP = 0x0101, 0x0301  # IPCTNL_MSG_CT_GET of NFNL_SUBSYS_CTNETLINK; NLM_F_REQUEST and NLM_F_DUMP
_ERROR, _DONE = 2, 3
_MESSAGE: Final = struct.Struct("=IHHII")
_GENERAL: Final = struct.Struct("=BBH")
_ATTRIBUTE: Final = struct.Struct("=HH")
_NESTED: Final = 0x3FFF
_ORIGINAL, _REPLY, _STATUS, _PROTOCOL_INFO = 1, 2, 3, 4  # CTA_*
_ADDRESSES, _PROTOCOL = 1, 2  # CTA_TUPLE_*
_SOURCES: Final = (1, 3)  # CTA_IP_V4_SRC, CTA_IP_V6_SRC
_NUMBER, _SOURCE_PORT = 1, 2  # CTA_PROTO_*
_ASSURED: Final = 1 << 2
_ESTABLISHED: Final = 3
_WAIT: Final = 10.0
_BUFFER: Final = 1 << 16

Pair = tuple[End, End]
"""Client and server."""


def open_before(now: int) -> Records:
    """Partial connections, each of one packet and data both ways at `now`, nanoseconds since the Unix epoch.

    Raises:
        InputError: The kernel does not show its table to this process.
    """
    try:
        pairs = list(over_netlink())
    except PermissionError:
        pairs = list(from_table())
    except OSError as error:
        raise _unreadable(error) from error
    entries = [
        Entry(
            one=client,
            other=server,
            protocol=TCP,
            first=now,
            last=now,
            events_of_one=SEEN | DATA,
            events_of_other=SEEN | DATA,
            tracked=True,
        )
        for client, server in pairs[:MOST]
    ]
    return records_of(entries)


def from_table(path: Path = _TABLE) -> Iterator[Pair]:
    """The pairs that the file lists.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            for line in file:
                try:
                    found = read_line(line)
                except ValueError:
                    continue
                if isinstance(found, Passed) or (found.protocol, found.state) != (TCP, "ESTABLISHED"):
                    continue
                if found.assured:
                    yield found.client, found.server
    except OSError as error:
        raise _unreadable(error) from error


def over_netlink() -> Iterator[Pair]:
    """The pairs that the kernel tells.

    Raises:
        OSError: It does not.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as asked:
        asked.settimeout(_WAIT)
        asked.sendto(_MESSAGE.pack(_MESSAGE.size + _GENERAL.size, _GET, _DUMP, 1, 0) + _GENERAL.pack(0, 0, 0), (0, 0))
        while True:
            data = asked.recv(_BUFFER)
            while len(data) >= _MESSAGE.size:
                length, kind, *_ = _MESSAGE.unpack_from(data)
                body, data = data[_MESSAGE.size : length], data[max(_MESSAGE.size, length + -length % 4) :]
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    (code,) = struct.unpack_from("=i", body)
                    raise OSError(-code, os.strerror(-code))
                pair = _pair(body[_GENERAL.size :])
                if pair is not None:
                    yield pair


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _NESTED] = data[_ATTRIBUTE.size : length]
        data = data[length + -length % 4 :]
    return found


def _pair(data: bytes) -> Pair | None:
    """The ends of an entry that counts."""
    entry = _attributes(data)
    if not {_ORIGINAL, _REPLY, _STATUS, _PROTOCOL_INFO} <= entry.keys():
        return None
    state = _attributes(_attributes(entry[_PROTOCOL_INFO]).get(1, b"")).get(1, b"")  # CTA_PROTOINFO_TCP_STATE
    if state[:1] != bytes([_ESTABLISHED]) or not int.from_bytes(entry[_STATUS], "big") & _ASSURED:
        return None
    client, server = _end(entry[_ORIGINAL]), _end(entry[_REPLY])
    return None if client is None or server is None or client.family != server.family else (client, server)


def _end(data: bytes) -> End | None:
    """The source of a tuple."""
    parts = _attributes(data)
    addresses, protocol = _attributes(parts.get(_ADDRESSES, b"")), _attributes(parts.get(_PROTOCOL, b""))
    address = next((addresses[kind] for kind in _SOURCES if kind in addresses), b"")
    if protocol.get(_NUMBER) != bytes([TCP]) or len(address) not in {4, 16}:
        return None
    port = int.from_bytes(protocol.get(_SOURCE_PORT, b"")[:2], "big")
    high, low = divmod(int.from_bytes(address, "big"), 1 << 64)
    return End(4 if len(address) == 4 else 6, high, low, port)


def _unreadable(error: OSError) -> InputError:
    remedy = {
        errno.EPERM: "Give the agent the capability NET_ADMIN",
        errno.ENOENT: "Give the agent the capability NET_ADMIN: this kernel shows the table over netlink alone",
    }.get(error.errno or 0, "")
    return InputError(f"cannot read the kernel's connections: {error.strerror}", remedy=remedy)
