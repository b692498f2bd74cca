"""The ways to a hub: at its address, or through the API server's service proxy.

The proxy takes the Authorization header for itself, so the hub's token stands in X-Netpol-Token. It does not check the
hub's certificate either: whoever can stand in for the hub behind its Service gets that token. So it is one that opens
nothing but the hub: made out to its audience, and never the one that opens the API server.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, Final, Protocol

from netpol.agent.hub.callers import AUDIENCE, TOKEN_HEADER
from netpol.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netpol.agent.hub.place import HubPlace
    from netpol.cluster.access import Connection

TOKEN, TOKEN_FILE = "NETPOL_HUB_TOKEN", "NETPOL_HUB_TOKEN_FILE"
AUTHORITY, SERVER_NAME = "NETPOL_HUB_CA", "NETPOL_HUB_SERVER_NAME"
READER: Final = "netpol-reader"
"""The service account whose token is asked for where none is given; `netpol hub --reader NAMESPACE/netpol-reader`."""
_TOKEN_SECONDS: Final = 3600
_MOST_TOKEN: Final = 1 << 16


class Asker(Protocol):
    """A way."""

    @property
    def name(self) -> str:
        """Of the hub, for messages."""
        ...

    def get(self, target: str, timeout: tuple[float, float]) -> Any:
        """Starts a GET: a urllib3 response of which the body was not read. Redirections are not followed."""
        ...


class DirectAsker:
    """Asks a hub at its address.

    Args:
        place: Where it is.
        environment: Holds the token, the certificate authority and the name in the hub's certificate.

    Raises:
        ClusterError: There is no token, or a file cannot be read.
    """

    def __init__(self, place: HubPlace, environment: Mapping[str, str]) -> None:
        import urllib3  # noqa: PLC0415 - most commands ask nobody

        self.name = place.url
        token = token_of(environment)
        if token is None:
            raise ClusterError(
                "no token", where=(self.name,), remedy=f"Set {TOKEN}, or let {TOKEN_FILE} name a file that holds it"
            )
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": "netpol"}
        options: dict[str, Any] = {}
        if place.tls:
            authority, server = environment.get(AUTHORITY), environment.get(SERVER_NAME)
            if authority and not os.access(authority, os.R_OK):
                raise ClusterError("cannot be read", where=(AUTHORITY, authority), remedy="Name a PEM file")
            options = {"cert_reqs": "CERT_REQUIRED", "ca_certs": authority or None}
            if server:
                options |= {"assert_hostname": server, "server_hostname": server}
        self._pool: Any = urllib3.PoolManager(retries=False, **options)

    def get(self, target: str, timeout: tuple[float, float]) -> Any:
        """As `Asker.get`."""
        import urllib3  # noqa: PLC0415 - the same

        return self._pool.request(
            "GET",
            f"{self.name}{target}",
            headers=self._headers,
            preload_content=False,
            redirect=False,
            timeout=urllib3.Timeout(connect=timeout[0], read=timeout[1]),
        )


class ProxiedAsker:
    """Asks a hub behind the API server, where without a token one is made for `READER`.

    Args:
        place: Where it is.
        connection: The API server.
        environment: May hold the token.

    Raises:
        ClusterError: There is no token, and none can be had.
    """

    def __init__(self, place: HubPlace, connection: Connection, environment: Mapping[str, str]) -> None:
        self.name = f"{connection.name}: {place.namespace}/{place.service}"
        self._prefix, self._connection = place.proxied, connection
        token = token_of(environment) or _new_token(connection, place.namespace)
        self._headers = {TOKEN_HEADER: token}

    def get(self, target: str, timeout: tuple[float, float]) -> Any:
        """As `Asker.get`."""
        return self._connection.open(f"{self._prefix}{target}", timeout, headers=self._headers)


def _new_token(connection: Connection, namespace: str) -> str:
    """A token that opens the hub for an hour, and nothing else (authentication.k8s.io/v1, TokenRequest)."""
    from netpol.cluster.asking import ask  # noqa: PLC0415 - most commands ask nobody

    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{READER}/token"
    wanted = {"audiences": [AUDIENCE], "expirationSeconds": _TOKEN_SECONDS}
    question = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": wanted}
    status, answer = ask(connection, path, {}, json.dumps(question).encode())
    found = answer.get("status") if isinstance(answer, dict) else None
    token = found.get("token") if isinstance(found, dict) else None
    if status not in {200, 201} or not isinstance(token, str):
        reasons = {
            401: "it does not accept the credentials",
            403: "you may not create it",
            404: "there is no such service account",
        }
        raise ClusterError(
            f"no token of service account {namespace}/{READER}: {reasons.get(status, f'status {status}')}",
            where=(connection.name,),
            remedy=f"Set {TOKEN}, as `kubectl create token NAME --audience {AUDIENCE}` prints one",
        )
    return token


def token_of(environment: Mapping[str, str]) -> str | None:
    """The reader's token, None where there is none.

    Raises:
        ClusterError: It cannot be read, or is none.
    """
    token = environment.get(TOKEN, "").strip()
    if not token and (path := environment.get(TOKEN_FILE)):
        try:
            with open(path, encoding="ascii") as file:  # noqa: PTH123 - a name out of the environment
                token = file.read(_MOST_TOKEN).strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not ASCII"
            raise ClusterError(f"cannot be read: {reason}", where=(TOKEN_FILE, path), remedy="Name a file") from None
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise ClusterError("no token: it is not printable ASCII", where=(TOKEN,), remedy="Give a reader's token")
    return token or None


@contextlib.contextmanager
def translated(name: str) -> Iterator[None]:
    """Turns what the transport raises into a ClusterError that says what to do.

    Args:
        name: Of the hub.
    """
    import urllib3  # noqa: PLC0415 - most commands ask nobody

    try:
        yield
    except urllib3.exceptions.SSLError as error:
        raise ClusterError(
            f"no trusted connection: {_reason(error)}",
            where=(name,),
            remedy=f"Let {AUTHORITY} name the certificate that signed it, and {SERVER_NAME} its name there",
        ) from None
    except urllib3.exceptions.NewConnectionError:  # a TimeoutError too, for historical reasons
        remedy = "Check the address and the network, or start a port-forward"
        raise ClusterError("not reachable", where=(name,), remedy=remedy) from None
    except urllib3.exceptions.TimeoutError:
        remedy = "Check that it is reachable, and try again"
        raise ClusterError("no answer in time", where=(name,), remedy=remedy) from None
    except urllib3.exceptions.HTTPError as error:
        raise ClusterError(f"the connection broke: {_reason(error)}", where=(name,), remedy="Try again") from None


def _reason(error: Exception) -> str:
    return ascii(" ".join(str(error).split())[:200])[1:-1]
