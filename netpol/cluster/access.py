"""The way to an API server: which one, with which credentials, and what stood in it.

The only module that imports the kubernetes client, and only when it is called: that takes most of a second.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from netpol.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_CONNECTIONS: Final = 32
"""Kept open between questions: one a kind that is watched."""
_OFFLINE: Final = "Or give manifests with --cluster"


class Opener(Protocol):
    """Whoever can be asked: a `Connection`, or something around it."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    def open(self, target: str, timeout: tuple[float, float], body: bytes | None = None) -> Any:
        """As `Connection.open`."""
        ...


@dataclass(frozen=True, slots=True)
class Connection:
    """An API server and how to ask it.

    Attributes:
        name: Its URL, for messages.
    """

    name: str
    _configuration: Any
    _pool: Any

    def open(
        self,
        target: str,
        timeout: tuple[float, float],
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Starts a GET of a path with query, or a POST of JSON; the caller reads the answer. Nothing is tried twice.

        Args:
            target: Path and query.
            timeout: Seconds for connecting, and for each part of the answer.
            body: JSON to be posted.
            headers: More of them: for whom the API server leads to.
        """
        import urllib3  # noqa: PLC0415  # the client's own transport, as heavy as the client

        given = dict(headers or {})
        headers = {**given, "Accept": "application/json", "User-Agent": "netpol"}
        for setting in self._configuration.auth_settings().values():
            if setting["in"] == "header" and setting["value"]:
                headers[setting["key"]] = setting["value"]
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self._pool.request(
            "GET" if body is None else "POST",
            self.name + target,
            body=body,
            headers=headers,
            preload_content=False,
            decode_content=False,
            redirect=False,
            retries=False,
            timeout=urllib3.Timeout(connect=timeout[0], read=timeout[1]),
        )


def is_in_pod() -> bool:
    """Whether this runs in a pod of a cluster, with the token of its service account."""
    return _SERVICE_ACCOUNT.exists()


def connect(context: str | None, kubeconfig: Path | None) -> Connection:
    """The API server of a kubeconfig's context, or inside a pod the cluster's own.

    Args:
        context: The current one by default.
        kubeconfig: By default $KUBECONFIG or ~/.kube/config; in a pod without these its service account.

    Raises:
        ClusterError: There is no kubeconfig, or it cannot be used.
    """
    import yaml  # noqa: PLC0415  # what the client reads its kubeconfig with

    config: Any = import_module("kubernetes.config")
    client: Any = import_module("kubernetes.client")
    rest: Any = import_module("kubernetes.client.rest")
    place = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG") or "~/.kube/config"
    configuration = client.Configuration()
    explicit = context or kubeconfig or os.environ.get("KUBECONFIG") or Path("~/.kube/config").expanduser().exists()
    # The client logs what an exec plugin wrote; the exception that follows is what the user is told.
    logging.getLogger("kubernetes").setLevel(logging.CRITICAL)
    try:
        if not explicit and _SERVICE_ACCOUNT.exists():
            place = "service account"
            config.load_incluster_config(client_configuration=configuration)
        else:
            config.load_kube_config(
                config_file=str(kubeconfig) if kubeconfig else None,
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
        configuration.connection_pool_maxsize = _CONNECTIONS
        configuration.socket_options = _keep_alive()
        pool = rest.RESTClientObject(configuration).pool_manager
    except (config.ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        what = "no kubeconfig" if not explicit else f"the kubeconfig cannot be used: {ascii(reason)[1:-1]}"
        raise ClusterError(
            what, where=(place,), remedy=f"Name one with --kubeconfig and --context. {_OFFLINE}"
        ) from None
    return Connection(str(configuration.host).rstrip("/"), configuration, pool)


@contextlib.contextmanager
def translate(*place: str) -> Iterator[None]:
    """Turns what the transport raises into a ClusterError that says what to do."""
    import urllib3  # noqa: PLC0415

    try:
        yield
    except urllib3.exceptions.SSLError as error:
        reason = ascii(" ".join(str(error).split())[:200])[1:-1]
        raise ClusterError(
            f"no trusted connection: {reason}", where=place, remedy="Check certificate-authority in the kubeconfig"
        ) from None
    except urllib3.exceptions.NewConnectionError:  # a TimeoutError too, for historical reasons
        raise ClusterError(
            "not reachable", where=place, remedy=f"Check the address and the network. {_OFFLINE}"
        ) from None
    except urllib3.exceptions.TimeoutError:
        raise ClusterError("no answer in time", where=place, remedy=f"Check that it is reachable. {_OFFLINE}") from None
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        reason = ascii(" ".join(str(error).split())[:200])[1:-1]
        raise ClusterError(f"the connection broke: {reason}", where=place, remedy=f"Try again. {_OFFLINE}") from None


def _keep_alive() -> list[tuple[int, int, int]]:
    """Options that make a connection fail after a minute of silence from the other side, even while nothing is sent."""
    from urllib3.connection import HTTPConnection  # noqa: PLC0415

    wanted = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
    known = [(getattr(socket, name), value) for name, value in wanted if hasattr(socket, name)]
    return [
        *HTTPConnection.default_socket_options,
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        *((socket.IPPROTO_TCP, name, value) for name, value in known),
    ]
