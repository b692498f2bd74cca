"""Where a hub is, as `hub://...` says it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from netpol.errors import UsageError
from netpol.model.host_name import host_name
from netpol.model.labels import is_dns_label
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEME, PLAIN_SCHEME = "hub://", "hub+http://"
PORT: Final = 8443
NAMESPACE, SERVICE = "netpol", "netpol-hub"
_SPAN: Final = re.compile(r"(?:[0-9]{1,6}[smhdw]){1,5}")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_SECOND: Final = 1_000_000_000
_LATEST: Final = 1 << 62
_REMEDY: Final = "Give hub://HOST:PORT, or hub:// or hub:///NAMESPACE/SERVICE for one behind the API server"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubPlace:
    """A hub, and which time of it.

    Attributes:
        text: As it was given.
        host: Name or address; empty where the API server leads to it.
        port: There.
        tls: False on loopback only.
        namespace: Of its Service, where the API server leads to it.
        service: Name of that.
        since: Nanoseconds since the Unix epoch: windows that begin earlier are not wanted.
        until: The same, exclusive, for those that begin later.
    """

    text: str
    host: str = ""
    port: int = PORT
    tls: bool = True
    namespace: str = NAMESPACE
    service: str = SERVICE
    since: int | None = None
    until: int | None = None

    @property
    def url(self) -> str:
        """Of a hub that is asked directly."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    @property
    def proxied(self) -> str:
        """The path under which the API server leads to it. It does not check the hub's certificate."""
        return f"/api/v1/namespaces/{self.namespace}/services/https:{self.service}:https/proxy"


def is_hub(text: str) -> bool:
    """Whether an argument names a hub rather than a file."""
    return text.startswith((SCHEME, PLAIN_SCHEME))


def hub_place(text: str, now: Callable[[], int]) -> HubPlace:
    """Reads `hub://HOST[:PORT]`, `hub://` and `hub:///NAMESPACE/SERVICE`, each with `?since=24h&until=TIME`.

    `hub+http://` is the same without TLS, for a hub on this machine. Times are spans back from now, or RFC 3339.

    Args:
        text: What was given.
        now: Nanoseconds since the Unix epoch.

    Raises:
        UsageError: It is none of these.
    """
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise UsageError(f"{shown(text)} names no hub", remedy=_REMEDY) from None
    if parts.username is not None or parts.fragment:
        # Not repeated: what stands there may be a token.
        raise UsageError("a hub's URL holds no user and no fragment", remedy="Give the token in NETPOL_HUB_TOKEN")
    times = _times(text, parts.query, now)
    tls = parts.scheme != "hub+http"
    if host:
        if not _is_host(host) or parts.path not in {"", "/"} or port == 0:
            raise UsageError(f"{shown(text)} names no hub", remedy=_REMEDY)
        if not tls and not _is_loopback(host):
            raise UsageError(
                "without TLS, whoever sees a packet has the token in it",
                where=(shown(text),),
                remedy="Give hub://; hub+http:// is for a hub on this machine",
            )
        return HubPlace(text=text, host=host, port=port or PORT, tls=tls, since=times[0], until=times[1])
    names = [name for name in parts.path.split("/") if name]
    if not tls or port is not None or len(names) not in {0, 2} or not all(map(is_dns_label, names)):
        raise UsageError(f"{shown(text)} names no hub", remedy=_REMEDY)
    namespace, service = names or (NAMESPACE, SERVICE)
    return HubPlace(text=text, namespace=namespace, service=service, since=times[0], until=times[1])


def _times(text: str, query: str, now: Callable[[], int]) -> tuple[int | None, int | None]:
    try:
        given = parse_qsl(query, strict_parsing=True, max_num_fields=2) if query else []
    except ValueError:
        given = [("", "")]
    found = dict(given)
    if len(found) != len(given) or not found.keys() <= {"since", "until"}:
        raise UsageError(f"{shown(text)} asks for more than a time", remedy="Give ?since=24h, ?until=TIME or both")
    since, until = (_time(found[name], name, now) if name in found else None for name in ("since", "until"))
    return since, until


def _time(text: str, name: str, now: Callable[[], int]) -> int:
    if _SPAN.fullmatch(text):
        ago = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([smhdw])", text))
        return max(0, now() - ago * _SECOND)
    try:
        found = datetime.fromisoformat(text)
        found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        seconds = int(found.timestamp())
    except (ValueError, OverflowError):
        raise UsageError(
            f"{shown(text)} is no time", where=(name,), remedy="Give one as 24h, or as 2026-11-01T12:00:00Z"
        ) from None
    return min(max(0, seconds * _SECOND), _LATEST)


def _is_host(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return host_name(text) is not None
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
