"""Zeek's dns.log and ssl.log: who was led where by which name, and which name a client asked a server for.

Fields: base/protocols/dns/main.zeek (DNS::Info) and base/protocols/ssl/main.zeek (SSL::Info).
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from netpol.capture.name_evidence import Greeting, Trait, packed
from netpol.model.flow import TCP, UDP
from netpol.sources.name_evidence import Answer, addresses_among, outcome_of
from netpol.sources.tally import Passed
from netpol.sources.zeek import number_of, text_of, time_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENDLESS: Final = 1 << 31
"""Seconds: no lifetime is longer (RFC 2181, 8)."""


def read_answer(row: Mapping[str, Any]) -> Answer | Passed:
    """A response, or why it says nothing: none was seen.

    Raises:
        ValueError: It cannot be read; the message says why.
    """
    if "query" not in row:
        return Passed("Zeek: DNS message without a question")
    if "rcode" not in row:
        return Passed("Zeek: DNS question without an answer")
    addresses = addresses_among(_vector(row, "answers"))
    lives = [float(each) for each in _vector(row, "TTLs")]
    return Answer(
        time=time_of(row),
        client=ip_address(text_of(row, "id.orig_h")),
        client_port=number_of(row, "id.orig_p") & 0xFFFF,
        number=number_of(row, "trans_id"),
        name=text_of(row, "query"),
        kind=str(row.get("qtype_name", "A")),
        outcome=outcome_of(number_of(row, "rcode"), addresses),
        addresses=addresses,
        life=int(min((each for each in lives if 0 <= each < _ENDLESS), default=0.0)),
    )


def read_greeting(row: Mapping[str, Any]) -> Greeting | Passed:
    """A TLS handshake, or why it says nothing: the client named nothing.

    Raises:
        ValueError: It cannot be read; the message says why.
    """
    if "server_name" not in row:
        return Passed("Zeek: TLS without a server name")
    name = text_of(row, "server_name").encode("utf-8", "surrogateescape")
    return Greeting(
        client=packed(ip_address(text_of(row, "id.orig_h"))),
        server=packed(ip_address(text_of(row, "id.resp_h"))),
        protocol=UDP if str(row.get("version", "")).startswith("DTLS") else TCP,
        port=number_of(row, "id.resp_p") & 0xFFFF,
        time=time_of(row),
        name=name[:1024],
        traits=Trait.TLS,
    )


def _vector(row: Mapping[str, Any], name: str) -> list[str]:
    """A vector: an array in JSON, text with commas otherwise."""
    value = row.get(name, [])
    if isinstance(value, str):
        return [each for each in value.split(",") if each != "-"]
    if not isinstance(value, list):
        raise ValueError(f"{name} is no list")  # noqa: TRY004 - what is wrong is the log, not a type in this program
    return [str(each) for each in value]
