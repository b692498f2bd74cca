"""Inspektor Gadget: `trace_tcp` and `trace_dns` as JSON, an event a line, and what came before them in older versions.

gadgets/trace_tcp (ebpf/connect.h, ebpf/accept.h): a `connect` event is sent when the client's socket is established or,
in newer versions, with the error that it failed with; an `accept` event when a server takes a connection. In a
`connect` event the destination is what the client asked for, which may be a Service's address. gadgets/trace_dns: an
answer that came back says that the question was answered, so it tells of a connection, too. Until version 0.30 an event
had `operation` in the place of `type` and times in nanoseconds (pkg/gadgets/trace/tcp/types).
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

import msgspec

from netpol.model.flow import TCP, UDP, Outcome
from netpol.sources.builder import Whole, end_of
from netpol.sources.name_evidence import Answer, addresses_among, outcome_of
from netpol.sources.tally import Passed
from netpol.sources.times import of_nanoseconds, of_rfc3339

UNTOLD: Final = (
    "connections older than the trace",
    "connections that did not work, in older versions: there, what a scan finds open looks like any connection",
    "whether a connection carried data",
    "packets and bytes",
    "UDP, but for the DNS of trace_dns",
    "what a Service's address and the pod behind it have in common: a connection counts under both",
)

_RCODES: Final = {
    "Success": 0,
    "NoError": 0,
    "FormatError": 1,
    "FormErr": 1,
    "ServerFailure": 2,
    "ServFail": 2,
    "NameError": 3,
    "NXDomain": 3,
}
_OTHER_FAILURE: Final = 5
_REFUSALS: Final = frozenset({"ECONNREFUSED", "ECONNRESET"})
_DNS: Final = 53
_PROTOCOLS: Final = {"TCP": TCP, "6": TCP, "UDP": UDP, "17": UDP}


class _Endpoint(msgspec.Struct):
    addr: str = ""
    port: int = 0
    proto: str | int = ""


class _Event(msgspec.Struct):
    timestamp: str | int = ""
    src: _Endpoint | None = None
    dst: _Endpoint | None = None
    type: str = ""
    operation: str = ""
    error: str = ""
    qr: str = ""
    name: str = ""
    qtype: str = ""
    rcode: str = ""
    addresses: str | list[str] | None = None


_decoder: Final = msgspec.json.Decoder(_Event)


def read_line(line: bytes) -> Whole | Answer | tuple[Answer, Whole] | Passed:
    """What one event says.

    Raises:
        ValueError: It cannot be read; the message says why.
    """
    event = _decoder.decode(line)
    if event.src is None or event.dst is None:
        return Passed("Inspektor Gadget: no addresses", foreign=True)
    if event.qr:
        return _answer(event, event.src, event.dst)
    kind = event.operation or event.type
    if kind not in {"connect", "accept"}:
        return Passed("Inspektor Gadget: not the beginning of a connection")
    ends = end_of(event.src.addr, event.src.port), end_of(event.dst.addr, event.dst.port)
    client, server = ends if kind == "connect" else ends[::-1]
    if client.family != server.family:
        raise ValueError("addresses of two families")
    time = _time(event.timestamp)
    return Whole(
        protocol=TCP,
        client=client,
        server=server,
        outcome=_outcome(event.error),
        two_way=not event.error,
        first=time,
        last=time,
        key=(TCP, client, server),
        teller=kind,
    )


def _outcome(error: str) -> Outcome:
    if not error:
        return Outcome.ESTABLISHED
    return Outcome.REFUSED if error in _REFUSALS else Outcome.UNANSWERED


def _time(value: str | int) -> int:
    return of_nanoseconds(value) if isinstance(value, int) else of_rfc3339(value)


def _answer(event: _Event, sender: _Endpoint, receiver: _Endpoint) -> Answer | tuple[Answer, Whole] | Passed:
    if event.qr != "R":
        return Passed("Inspektor Gadget: DNS question")
    texts = event.addresses.split(",") if isinstance(event.addresses, str) else event.addresses or []
    found = addresses_among(texts)
    # Who asked: the other end is the resolver's port.
    resolver, client = (sender, receiver) if sender.port == _DNS else (receiver, sender)
    time = _time(event.timestamp)
    answer = Answer(
        time=time,
        client=ip_address(client.addr),
        client_port=client.port & 0xFFFF,
        number=0,
        name=event.name,
        kind=event.qtype,
        outcome=outcome_of(_RCODES.get(event.rcode, _OTHER_FAILURE), found),
        addresses=found,
        life=0,
    )
    protocol = _PROTOCOLS.get(str(sender.proto).upper())
    ends = end_of(client.addr, client.port), end_of(resolver.addr, resolver.port)
    if protocol is None or resolver.port != _DNS or ends[0].family != ends[1].family:
        return answer
    return answer, Whole(
        protocol=protocol,
        client=ends[0],
        server=ends[1],
        outcome=Outcome.ESTABLISHED,
        two_way=True,
        first=time,
        last=time,
        key=(protocol, *ends),
        teller="connect" if sender is resolver else "accept",
    )
