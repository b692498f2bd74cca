"""Conversations to packets: who sends what when, with the sequence numbers that a TCP stack would use."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from tests.benchmarks.traffic.plan import HANDSHAKE, Kind, Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

_MTU, _TUNNEL_MTU = 1_500, 1_450
_TCP_WITH_TIMESTAMPS: Final = 32
_DATA_SHARES: Final = np.cumsum([0.12, 0.08, 0.23, 0.03, 0.40, 0.14])
"""Of the data packets: request, short response, full response, full upload, ACK from the client, from the server."""
DNS_QUERY, DNS_A, DNS_AAAA = 48, 64, 76
"""Lengths of the DNS messages, which also tell them apart."""
PING_PAYLOAD: Final = 56


@dataclass(frozen=True, slots=True, kw_only=True)
class Packets:
    """Packets as columns, one entry each.

    Attributes:
        conversation: Index into the plan.
        time: Nanoseconds since the start of the capture.
        from_client: Who sends it.
        flags: TCP flags; ICMP: 1 in a request.
        sequence: TCP sequence number; DNS: the message id.
        acknowledgement: TCP acknowledgement number.
        payload: Bytes after the transport header.
    """

    conversation: NDArray[np.int64]
    time: NDArray[np.int64]
    from_client: NDArray[np.bool_]
    flags: NDArray[np.uint8]
    sequence: NDArray[np.uint32]
    acknowledgement: NDArray[np.uint32]
    payload: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.time)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Self:
        """The packets at the given places."""
        return type(self)(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    @classmethod
    def join(cls, parts: Sequence[Packets]) -> Self:
        """The packets of all parts in turn."""
        return cls(
            **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)}
        )


class _Draft:
    """The packets of some conversations while they are being made, conversation by conversation.

    Attributes:
        opening: Of each conversation, the place of its first packet.
        row: Of each packet, its conversation, counted from the first in the draft; likewise the plan's columns.
        place: Of each packet, its place in the conversation.
        step: Of each packet, its place among the data packets, negative during the handshake.
    """

    def __init__(self, plan: Plan, first: int, last: int, rng: np.random.Generator) -> None:
        chunk = slice(first, last)
        count = plan.packets[chunk]
        self.rng = rng
        self.opening = np.cumsum(count) - count
        self.row = np.repeat(np.arange(last - first), count)
        self.place = np.arange(len(self.row)) - self.opening[self.row]
        self.kind = plan.kind[chunk][self.row]
        self.data = plan.data[chunk][self.row]
        self.step = self.place - HANDSHAKE[self.kind]
        self.from_client = np.ones(len(self.row), np.bool_)
        self.flags = np.full(len(self.row), ACK, np.uint8)
        self.payload = np.zeros(len(self.row), np.int64)

    def follow_script(self) -> None:
        """Sender and TCP flags of every packet whose part is fixed; data comes from the client so far."""
        kind, place = self.kind, self.place
        shakes, refused = kind <= Kind.OPEN, kind == Kind.REFUSED
        self.flags[((shakes | refused) & (place == 0)) | (kind == Kind.UNANSWERED)] = SYN
        self.flags[shakes & (place == 1)] = SYN | ACK
        self.flags[refused & (place == 1)] = RST | ACK
        self.from_client[(shakes | refused) & (place == 1)] = False
        ending = self.step - self.data
        closes = (kind == Kind.FINISHED) | (kind == Kind.MIDSTREAM)
        self.flags[closes & ((ending == 0) | (ending == 2))] = FIN | ACK
        self.from_client[closes & ((ending == 1) | (ending == 2))] = False
        self.flags[(kind == Kind.RESET) & (ending == 0)] = RST | ACK
        self.from_client[((kind == Kind.LOOKUP) | (kind == Kind.PING)) & (place >= self.data // 2)] = False

    def fill(self, full: NDArray[np.int64]) -> None:
        """Payload lengths, and sender and PSH of the data packets; `full` is the segment size of each conversation."""
        tcp = (self.kind <= Kind.OPEN) | (self.kind == Kind.MIDSTREAM)
        talk = np.flatnonzero(tcp & (self.step >= 0) & (self.step < self.data))
        role = np.searchsorted(_DATA_SHARES[:-1], self.rng.random(len(talk)), side="right")
        role[self.step[talk] == 0] = 0  # every conversation has a request
        role[self.step[talk] == 1] = 1  # and a response
        self.from_client[talk] = np.isin(role, (0, 3, 4))
        short = 1 + np.minimum(self.rng.lognormal(np.log(220), 0.8, len(talk)).astype(np.int64), 1_300)
        segment = full[self.row[talk]]
        self.payload[talk] = np.choose(role, [short, short, segment, segment, 0, 0])
        self.flags[talk[role < 2]] |= PSH

        lookups = np.flatnonzero(self.kind == Kind.LOOKUP)
        answer = np.where(self.question(lookups) == 1, DNS_AAAA, DNS_A)
        self.payload[lookups] = np.where(self.from_client[lookups], DNS_QUERY, answer)
        self.payload[self.kind == Kind.PING] = PING_PAYLOAD

    def question(self, lookups: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of packets of lookups, 0 for the first question and its answer, 1 for the second."""
        return self.place[lookups] % (self.data[lookups] // 2)

    def number(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """TCP sequence and acknowledgement numbers; SYN and FIN count one (RFC 9293, 3.4)."""
        consumed = self.payload + ((self.flags & SYN) != 0) + ((self.flags & FIN) != 0)
        consumed[self.kind == Kind.UNANSWERED] = 0  # a retransmitted SYN has the same number
        initial = self.rng.integers(0, 2**32, (2, len(self.opening)))
        initial[1, self.kind[self.opening] == Kind.REFUSED] = 0  # a reset for a SYN (RFC 9293, 3.10.7.1)
        sent = []
        for side, isn in zip((self.from_client, ~self.from_client), initial, strict=True):
            by_side = np.where(side, consumed, 0)
            before = np.cumsum(by_side) - by_side
            sent.append(isn[self.row] + before - before[self.opening][self.row])
        client, server = sent
        sequence = np.where(self.from_client, client, server).astype(np.uint32)
        acknowledgement = np.where(self.from_client, server, client).astype(np.uint32)
        acknowledgement[(self.flags & ACK) == 0] = 0
        return sequence, acknowledgement

    def elapsed(self, pace: NDArray[np.float64]) -> NDArray[np.int64]:
        """Nanoseconds since the conversation's first packet; gaps are 10 microseconds at least, so order survives."""
        random = self.rng.exponential(1.0, len(self.row))
        seconds = np.where(self.step > 0, pace[self.row], 3e-4) * random
        quick = np.isin(self.kind, (Kind.LOOKUP, Kind.PING, Kind.REFUSED))
        seconds[quick] = 5e-4 * random[quick]
        retried = self.kind == Kind.UNANSWERED
        seconds[retried] = 2.0 ** (self.place[retried] - 1)
        elapsed: NDArray[np.int64] = np.cumsum(10_000 + (seconds * 1e9).astype(np.int64))
        since_first: NDArray[np.int64] = elapsed - elapsed[self.opening][self.row]
        return since_first


def make_packets(plan: Plan, first: int, last: int, rng: np.random.Generator) -> Packets:
    """All packets of the conversations `first` to `last` (exclusive), conversation by conversation."""
    chunk = slice(first, last)
    draft = _Draft(plan, first, last, rng)
    draft.follow_script()
    mtu = np.where(plan.tunnelled[chunk], _TUNNEL_MTU, _MTU)
    draft.fill(mtu - np.where(plan.six[chunk], 40, 20) - _TCP_WITH_TIMESTAMPS)
    sequence, acknowledgement = draft.number()
    lookups = np.flatnonzero(draft.kind == Kind.LOOKUP)
    sequence[lookups] = plan.client_port[chunk][draft.row[lookups]] + draft.question(lookups)
    return Packets(
        conversation=first + draft.row,
        time=plan.start[chunk][draft.row] + draft.elapsed(plan.pace[chunk]),
        from_client=draft.from_client,
        flags=draft.flags,
        sequence=sequence,
        acknowledgement=acknowledgement,
        payload=draft.payload,
    )
