"""The ways by which clients ask for names so that nobody between can read them."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from netpol.capture.name_evidence import packed
from netpol.model.flow import TCP

if TYPE_CHECKING:
    from netpol.capture.name_evidence import Greeting

OVER_TLS, OVER_QUIC, OVER_HTTPS = "DNS over TLS", "DNS over QUIC", "DNS over HTTPS"

_HTTPS: Final = 443
_RESOLVER_NAMES: Final = frozenset(
    {
        b"dns.google",
        b"dns64.dns.google",
        b"dns.google.com",
        b"one.one.one.one",
        b"1dot1dot1dot1.cloudflare-dns.com",
        b"cloudflare-dns.com",
        b"mozilla.cloudflare-dns.com",
        b"chrome.cloudflare-dns.com",
        b"security.cloudflare-dns.com",
        b"family.cloudflare-dns.com",
        b"dns64.cloudflare-dns.com",
        b"dns.quad9.net",
        b"dns9.quad9.net",
        b"dns10.quad9.net",
        b"dns11.quad9.net",
        b"doh.opendns.com",
        b"dns.opendns.com",
        b"doh.familyshield.opendns.com",
        b"doh.umbrella.com",
        b"dns.nextdns.io",
        b"firefox.dns.nextdns.io",
        b"dns.adguard.com",
        b"dns.adguard-dns.com",
        b"unfiltered.adguard-dns.com",
        b"doh.cleanbrowsing.org",
        b"dns.controld.com",
        b"freedns.controld.com",
        b"dns.mullvad.net",
        b"doh.dns.sb",
        b"dns.sb",
        b"dns.alidns.com",
        b"doh.pub",
        b"dot.pub",
        b"doh.360.cn",
        b"dns0.eu",
        b"open.dns0.eu",
        b"odvr.nic.cz",
        b"doh.applied-privacy.net",
        b"dns.switch.ch",
        b"dns.digitale-gesellschaft.ch",
        b"ordns.he.net",
        b"doh.xfinity.com",
        b"dns.twnic.tw",
    }
)
_RESOLVER_ADDRESSES: Final = frozenset(
    packed(ip_address(each))
    for each in (
        *("8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"),
        *("1.1.1.1", "1.0.0.1", "2606:4700:4700::1111", "2606:4700:4700::1001"),
        *("1.1.1.2", "1.0.0.2", "1.1.1.3", "1.0.0.3"),
        *("9.9.9.9", "149.112.112.112", "9.9.9.10", "9.9.9.11", "2620:fe::fe", "2620:fe::9"),
        *("208.67.222.222", "208.67.220.220", "2620:119:35::35", "2620:119:53::53"),
        *("94.140.14.14", "94.140.15.15", "2a10:50c0::ad1:ff", "2a10:50c0::ad2:ff"),
        *("223.5.5.5", "223.6.6.6", "119.29.29.29", "194.242.2.2", "45.90.28.0", "45.90.30.0"),
    )
)
"""Resolvers that everybody may use, by what their operators publish. The list need not be complete: what it lacks is a
connection to an address outside like any other, and listed as such."""


def way_of_port(protocol: int) -> str:
    """What port 853 of a transport is for (RFC 7858, RFC 9250)."""
    return OVER_TLS if protocol == TCP else OVER_QUIC


def way_of_greeting(greeting: Greeting, *, dns: bool, tls: bool) -> str | None:
    """By which way a greeting opens a channel to a resolver, None where nothing says that it does.

    Args:
        greeting: The greeting.
        dns: Its ALPN says so.
        tls: It is a ClientHello.
    """
    if dns:
        return way_of_port(greeting.protocol)
    name = greeting.name.lower().removesuffix(b".")
    named = name in _RESOLVER_NAMES or name.endswith(b".dns.nextdns.io")
    at_resolver = greeting.server in _RESOLVER_ADDRESSES and greeting.port == _HTTPS
    return OVER_HTTPS if tls and (named or at_resolver) else None
