"""What logs say about names, in the form in which the capture path says it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.capture.name_evidence import AnswerOutcome, Answers, exchanges, packed
from netpol.capture.views import PAD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.model.flow import Address

_LONGEST_LABEL, _LONGEST_NAME = 63, 253
_KINDS: Final = {"A": 1, "AAAA": 28, "HTTPS": 65, "SVCB": 64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One DNS response.

    Attributes:
        time: Nanoseconds since the Unix epoch.
        client: Who was answered.
        client_port: 0 where the log does not tell.
        number: The message's, 0 where the log does not tell.
        name: What was asked for, as text with dots.
        kind: The type that was asked for, as text.
        addresses: To which the name or one of its aliases leads.
        life: Seconds.
    """

    time: int
    client: Address
    client_port: int
    number: int
    name: str
    kind: str
    outcome: AnswerOutcome
    addresses: Sequence[Address]
    life: int


def outcome_of(rcode: int, addresses: Sequence[Address]) -> AnswerOutcome:
    """What a response code (RFC 1035, 4.1.1) and the addresses say together."""
    if rcode == 0:
        return AnswerOutcome.ANSWERED if addresses else AnswerOutcome.EMPTY
    return AnswerOutcome.NO_NAME if rcode == 3 else AnswerOutcome.FAILED


def addresses_among(texts: Sequence[str]) -> list[Address]:
    """Those of the texts that are addresses; others are aliases and records of other kinds."""
    found: list[Address] = []
    for text in texts:
        try:
            found.append(ip_address(text))
        except ValueError:
            continue
    return found


def wire_name(name: str) -> bytes | None:
    """A name in wire form (RFC 1035, 3.1), None where it cannot be one."""
    text = name.removesuffix(".")
    labels = text.encode("utf-8", "surrogateescape").split(b".") if text else []
    if len(text) > _LONGEST_NAME or any(not 0 < len(label) <= _LONGEST_LABEL for label in labels):
        return None
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def columns_of(answers: Sequence[Answer]) -> Answers | None:
    """The responses as columns, None where none has a name that could be asked for."""
    wires = [(answer, wire) for answer in answers if (wire := wire_name(answer.name)) is not None]
    if not wires:
        return None
    sizes = np.array([len(wire) for _, wire in wires], np.int64)
    client = np.array([packed(answer.client) for answer, _ in wires], np.uint64).reshape(-1, 2)
    port = np.array([answer.client_port for answer, _ in wires], np.uint16)
    number = np.array([answer.number & 0xFFFF for answer, _ in wires], np.uint16)
    found = [(index, address) for index, (answer, _) in enumerate(wires) for address in answer.addresses]
    return Answers(
        data=np.frombuffer(b"".join(wire for _, wire in wires) + bytes(PAD), np.uint8),
        name_at=np.cumsum(sizes) - sizes,
        name_size=sizes,
        time=np.array([answer.time for answer, _ in wires], np.int64),
        client=client,
        exchange=exchanges(client, port, number),
        kind=np.array([_KINDS.get(answer.kind, 1) for answer, _ in wires], np.uint16),
        outcome=np.array([answer.outcome for answer, _ in wires], np.uint8),
        message=np.array([index for index, _ in found], np.int64),
        address=np.array([packed(address) for _, address in found], np.uint64).reshape(-1, 2),
        life=np.array([min(max(wires[index][0].life, 0), 1 << 31) for index, _ in found], np.int64),
    )
