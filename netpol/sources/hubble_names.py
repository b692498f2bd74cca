"""What Cilium's proxies saw: DNS answers, and the hosts that HTTP requests named."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from netpol.capture.name_evidence import Greeting, Trait, packed
from netpol.model.flow import TCP
from netpol.sources.name_evidence import Answer, addresses_among, outcome_of
from netpol.sources.tally import Passed
from netpol.sources.times import of_rfc3339

if TYPE_CHECKING:
    from netpol.sources.hubble_fields import Flow, Http


def read_names(flow: Flow) -> Answer | Greeting | Passed:
    """What a flow of layer 7 says about names, or why it says nothing: it says nothing.

    Raises:
        ValueError: It cannot be read; the message says why.
    """
    layer, addresses = flow.l7, flow.IP
    if layer is None or addresses is None:
        return Passed("Hubble: no layer 7")
    if flow.verdict == "DROPPED":
        return Passed("Hubble: a message that was dropped")
    time = of_rfc3339(flow.time)
    ports = flow.l4.UDP or flow.l4.TCP if flow.l4 is not None else None
    if layer.dns is not None:
        if layer.type != "RESPONSE":
            return Passed("Hubble: DNS question")
        dns = layer.dns
        found = addresses_among(dns.ips)
        return Answer(
            time=time,
            client=ip_address(addresses.destination),
            client_port=(ports.destination_port if ports else 0) & 0xFFFF,
            number=0,
            name=dns.query,
            kind=dns.qtypes[0] if dns.qtypes else "A",
            outcome=outcome_of(dns.rcode, found),
            addresses=found,
            life=dns.ttl,
        )
    name = _host(layer.http) if layer.http is not None else ""
    if layer.type != "REQUEST" or not name:
        return Passed("Hubble: no name in a message")
    return Greeting(
        client=packed(ip_address(addresses.source)),
        server=packed(ip_address(addresses.destination)),
        protocol=TCP,
        port=(ports.destination_port if ports else 0) & 0xFFFF,
        time=time,
        name=name.encode("utf-8", "surrogateescape")[:1024],
        traits=Trait.HTTP,
    )


def _host(http: Http) -> str:
    """The host of a request, without its port."""
    named = next((each.value for each in http.headers if each.key.lower() in {"host", ":authority"}), "")
    try:
        return urlsplit(f"//{named}").hostname or "" if named else urlsplit(http.url).hostname or ""
    except ValueError:  # brackets that do not close
        return ""
