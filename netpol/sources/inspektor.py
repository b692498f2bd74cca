"""Inspektor Gadget: `trace_tcp` and `trace_dns` as JSON, an event a line.

gadgets/trace_tcp/program.bpf.c: a `connect` event is sent when the client's socket becomes established, an `accept`
event when a server takes a connection; both are of connections that worked. In a `connect` event the destination is
what the client asked for, which may be a Service's address.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

import msgspec

from netpol.model.flow import TCP, Outcome
from netpol.sources.builder import Whole, end_of
from netpol.sources.name_evidence import Answer, addresses_among, outcome_of
from netpol.sources.tally import Passed
from netpol.sources.times import of_rfc3339

UNTOLD: Final = ("connections that did not work", "packets and bytes", "UDP")

_RCODES: Final = {"Success": 0, "NoError": 0, "FormatError": 1, "ServerFailure": 2, "NameError": 3, "NXDomain": 3}
_OTHER_FAILURE: Final = 5


class _Endpoint(msgspec.Struct):
    addr: str = ""
    port: int = 0


class _Event(msgspec.Struct):
    timestamp: str = ""
    src: _Endpoint | None = None
    dst: _Endpoint | None = None
    type: str = ""
    error: str = ""
    qr: str = ""
    name: str = ""
    qtype: str = ""
    rcode: str = ""
    addresses: str = ""


_decoder: Final = msgspec.json.Decoder(_Event)


def read_line(line: bytes) -> Whole | Answer | Passed:
    """What one event says.

    Raises:
        ValueError: It cannot be read; the message says why.
    """
    event = _decoder.decode(line)
    if event.src is None or event.dst is None:
        return Passed("Inspektor Gadget: no addresses")
    if event.qr:
        return _answer(event, event.src, event.dst)
    if event.type not in {"connect", "accept"}:
        return Passed("Inspektor Gadget: not the beginning of a connection")
    ends = end_of(event.src.addr, event.src.port), end_of(event.dst.addr, event.dst.port)
    client, server = ends if event.type == "connect" else ends[::-1]
    if client.family != server.family:
        raise ValueError("addresses of two families")
    time = of_rfc3339(event.timestamp)
    return Whole(
        protocol=TCP,
        client=client,
        server=server,
        outcome=Outcome.REFUSED if event.error else Outcome.ESTABLISHED,
        first=time,
        last=time,
        key=(client, server),
    )


def _answer(event: _Event, sender: _Endpoint, receiver: _Endpoint) -> Answer | Passed:
    if event.qr != "R":
        return Passed("Inspektor Gadget: DNS question")
    found = addresses_among(event.addresses.split(","))
    # Who asked: the other end is the resolver's port.
    client = receiver if sender.port == _DNS else sender
    return Answer(
        time=of_rfc3339(event.timestamp),
        client=ip_address(client.addr),
        client_port=client.port & 0xFFFF,
        number=0,
        name=event.name,
        kind=event.qtype,
        outcome=outcome_of(_RCODES.get(event.rcode, _OTHER_FAILURE), found),
        addresses=found,
        life=0,
    )


_DNS: Final = 53
