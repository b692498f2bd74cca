"""Which rules of the existing policies were exercised by any observed connection, and which never."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.model.inventory import Pod

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.model.flow import Address
    from netpol.policy.existing_rules import RuleBook, RuleKey
    from netpol.policy.existing_watch import Contact
    from netpol.policy.verdict import Way


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleUse:
    """What was seen of a rule.

    Attributes:
        connections: That it admits and that worked; traffic that needs no rule, of a pod's own node, among them.
        attempts: Connections that it admits and that did not work: someone may need it.
        unused_peers: Indices in `from` or `to` by which no such connection was admitted; of a rule that is not for
            everyone.
        unused_ports: The same in `ports`.
    """

    key: RuleKey
    connections: int = 0
    attempts: int = 0
    unused_peers: tuple[int, ...] = ()
    unused_ports: tuple[int, ...] = ()


class _Tally:
    def __init__(self) -> None:
        self.connections = 0
        self.attempts = 0
        self.peers: set[int] = set()
        self.ports: set[int] = set()


def rule_uses(book: RuleBook, contacts: Iterable[Contact]) -> tuple[RuleUse, ...]:
    """The use of every rule that is of effect, in the order of the book.

    A rule is exercised by every connection that it admits, whether or not another rule admits it too, and whether or
    not it was learned: what is to be removed should be needed by nobody.
    """
    found = {key: _Tally() for key, _ in book.rules()}
    for contact in contacts:
        pair = (contact.protocol, contact.port)
        sides: tuple[tuple[Way, Pod | Address, Pod | Address], ...] = (
            ("egress", contact.source, contact.destination),
            ("ingress", contact.destination, contact.source),
        )
        for way, subject, peer in sides:
            if not isinstance(subject, Pod):
                continue
            for rule in book.admitting(way, subject, peer):
                if pair in rule.covered:
                    tally = found[rule.key]
                    tally.connections += contact.used
                    tally.attempts += contact.attempts
                    tally.peers.update(rule.peers)
                    tally.ports.update(index for index, ports in enumerate(rule.ports) if pair in ports)
    return tuple(
        RuleUse(
            key=key,
            connections=tally.connections,
            attempts=tally.attempts,
            unused_peers=tuple(sorted(set(range(len(rule.peers))) - tally.peers)),
            unused_ports=tuple(sorted(set(range(len(rule.ports))) - tally.ports)),
        )
        for (key, rule), tally in zip(book.rules(), found.values(), strict=True)
    )
