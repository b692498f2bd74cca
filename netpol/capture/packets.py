"""What the capture stage yields: packets in columns, quoted packets in columns, and the counts beside them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ICMP_REQUEST, ICMP_REPLY, ICMP_ERROR = 1, 2, 4
"""`PacketBatch.flags` of ICMP and ICMPv6; 0 is any other message."""

SCTP_INIT, SCTP_INIT_ACK, SCTP_COOKIE_ECHO, SCTP_COOKIE_ACK = 1, 2, 4, 8
SCTP_DATA, SCTP_ABORT, SCTP_SHUTDOWN, SCTP_OTHER = 16, 32, 64, 128
"""`PacketBatch.flags` of SCTP: one bit per kind of chunk, OR-ed over the packet's chunks."""

NAMED_PLACES = 100
"""So many files and damages are named in a tally; the rest is counted."""


class _Columns:
    """Checks once that all columns describe the same packets."""

    __slots__ = ()
    family: int

    def __post_init__(self) -> None:
        lengths = {len(getattr(self, each.name)) for each in fields(self) if each.name != "family"}  # type: ignore[arg-type]
        if self.family not in (4, 6) or len(lengths) != 1:
            msg = f"columns of family {self.family} with lengths {sorted(lengths)}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class PacketBatch(_Columns):
    """Decoded packets of one address family in capture order, one entry per packet in every column.

    Inside tunnels everything but `time` and `length` belongs to the innermost packet.

    Attributes:
        family: 4 or 6.
        time: int64[n], nanoseconds since the Unix epoch.
        length: uint32[n], bytes of the outermost frame on the wire, whatever part of it was captured.
        source: Family 4: uint32[n], host order. Family 6: uint64[n, 2], high and low half.
        destination: The same.
        protocol: uint8[n], IP protocol number after all extension headers.
        source_port: uint16[n], 0 where there is none. ICMP and ICMPv6 echo: the identifier, in both columns.
        destination_port: uint16[n].
        flags: uint8[n]. TCP: the flag byte. SCTP: SCTP_* bits. ICMP, ICMPv6: ICMP_*. 0 in later fragments.
        sequence: uint32[n]. TCP: sequence number. SCTP: initiate tag of INIT and INIT ACK. Else 0.
        acknowledgement: uint32[n]. TCP: acknowledgement number. SCTP: verification tag. Else 0.
        payload: uint32[n], bytes above the transport header by the IP length, captured or not. SCTP: user data in
            DATA chunks.
    """

    family: int
    time: NDArray[np.int64]
    length: NDArray[np.uint32]
    source: NDArray[np.unsignedinteger]
    destination: NDArray[np.unsignedinteger]
    protocol: NDArray[np.uint8]
    source_port: NDArray[np.uint16]
    destination_port: NDArray[np.uint16]
    flags: NDArray[np.uint8]
    sequence: NDArray[np.uint32]
    acknowledgement: NDArray[np.uint32]
    payload: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Unreachables(_Columns):
    """The packets that ICMP destination-unreachable errors quote, in the direction of the quoted packet's sender.

    ICMP type 3 without code 4, which asks for smaller packets and refuses nothing (RFC 1191); ICMPv6 type 1, and type 4
    code 1, which says for IPv6 that a protocol is not spoken (RFC 4443, 3.4). The error itself is an ordinary packet
    too.

    Attributes:
        family: 4 or 6, of the quoted packet.
        time: int64[n], when the error was captured, nanoseconds since the Unix epoch.
        source: Address columns as in PacketBatch.
        destination: The same.
        protocol: uint8[n].
        source_port: uint16[n]; 0 where the protocol has none; ICMP echo: the identifier, in both columns.
        destination_port: uint16[n].
        sequence: uint32[n], TCP sequence number, else 0.
    """

    family: int
    time: NDArray[np.int64]
    source: NDArray[np.unsignedinteger]
    destination: NDArray[np.unsignedinteger]
    protocol: NDArray[np.uint8]
    source_port: NDArray[np.uint16]
    destination_port: NDArray[np.uint16]
    sequence: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.time)


def chosen_packets(batch: PacketBatch | Unreachables, which: NDArray[np.bool_]) -> PacketBatch | Unreachables:
    """A batch of some of the packets of another."""
    columns = {each.name: getattr(batch, each.name)[which] for each in fields(batch) if each.name != "family"}
    return type(batch)(family=batch.family, **columns)


@dataclass(slots=True)
class Tally:
    """What became of every record. `packets == decoded + sum(undecoded.values())` holds whenever a batch was yielded.

    Attributes:
        packets: Records read.
        decoded: Those that are in a batch.
        truncated: Those whose captured part was too short to decode; they are in `undecoded` too.
        lost: Packets that the capture says were dropped before they were written, and records that were cut off or
            damaged.
        undecoded: Readable reason to number of packets.
        captures: Captures read.
        passed_over: Files in folders that are no captures: the first NAMED_PLACES names.
        passed_over_files: How many there were.
        damaged: One message for each capture that was cut off or is damaged in the middle: file, byte offset, what is
            wrong there.
            Everything before that place was used. At most NAMED_PLACES messages.
        damaged_captures: How many there were.
        malformed_captures: Those of them that hold something that no capture can hold, rather than just end too early.
        broken: `file: line N: reason` of records of flow logs that cannot be read, the first NAMED_PLACES.
        broken_records: How many there were; they are in `undecoded` too.
        untold: What flow logs do not tell, by kind.
        log_records: Records of flow logs that were read.
        log_records_used: Those that say something that was used.
        log_records_unplaced: Those that tell of a connection, and of an end of it no address.
        size: Bytes of all captures, None where that is not known: of progress, like the next, and no result.
        consumed: Bytes of them that were read so far.
        missing: What recordings say is missing from them, other than packets: readable, to a count above 0.
    """

    packets: int = 0
    decoded: int = 0
    truncated: int = 0
    lost: int = 0
    undecoded: dict[str, int] = field(default_factory=dict)
    captures: int = 0
    passed_over: list[str] = field(default_factory=list)
    passed_over_files: int = 0
    damaged: list[str] = field(default_factory=list)
    damaged_captures: int = 0
    malformed_captures: int = 0
    broken: list[str] = field(default_factory=list)
    broken_records: int = 0
    untold: dict[str, tuple[str, ...]] = field(default_factory=dict)
    log_records: int = 0
    log_records_used: int = 0
    log_records_unplaced: int = 0
    size: int | None = field(default=None, compare=False)
    consumed: int = field(default=0, compare=False)
    missing: dict[str, int] = field(default_factory=dict)

    def miss(self, what: str, count: int) -> None:
        """Counts what is missing other than packets."""
        if count:
            self.missing[what] = self.missing.get(what, 0) + count

    def drop(self, reason: str, count: int) -> None:
        """Counts `count` packets that are not in any batch."""
        if count:
            self.undecoded[reason] = self.undecoded.get(reason, 0) + count

    def pass_over(self, name: str) -> None:
        """Notes a file in a folder that is no capture."""
        self.passed_over_files += 1
        if len(self.passed_over) < NAMED_PLACES:
            self.passed_over.append(name)

    def damage(self, message: str, *, malformed: bool) -> None:
        """Notes a capture that could not be read to its end; at least one record was lost there."""
        self.lost += 1
        self.damaged_captures += 1
        self.malformed_captures += malformed
        if len(self.damaged) < NAMED_PLACES:
            self.damaged.append(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is held in memory at once.

    None of these changes what is decoded, except that fragment_table bounds which fragments find their first.

    Attributes:
        block: Bytes of a capture that are walked at once.
        smallest_block: A block is never cut below this when many captures are open at the same time.
        open_blocks: Bytes of all blocks of the captures that are open at the same time.
        rows: Packets decoded at once.
        fragment_table: First fragments remembered, and later fragments that wait for their first.
    """

    block: int = 32 << 20
    smallest_block: int = 64 << 10
    open_blocks: int = 32 << 20
    rows: int = 1 << 17
    fragment_table: int = 4096
