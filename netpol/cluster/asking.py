"""One question to the API server and its whole answer, bounded in size and in time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

from netpol.cluster.access import translate
from netpol.cluster.safe_json import read_json
from netpol.errors import ClusterError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.cluster.access import Opener

MAX_PAGE_BYTES: Final = 256 << 20
"""A page larger than this is refused: the API server's own objects are 1.5 MB at most, typical ones 10 kB."""
_CONNECT_SECONDS, _READ_SECONDS, _PAGE_SECONDS = 5.0, 30.0, 180.0
_CHUNK: Final = 1 << 20


class Page(NamedTuple):
    """A part of a list.

    Attributes:
        following: What to ask for next, empty at the end of the list.
        version: The list's resourceVersion: what it shows is the state at it.
    """

    items: list[dict[str, Any]]
    following: str
    version: str


def ask(connection: Opener, path: str, query: Mapping[str, str], body: bytes | None = None) -> tuple[int, Any]:
    """The status and, if it is 200 or 201, the JSON value of one answer.

    Args:
        connection: Who is asked.
        path: Without query.
        query: May be empty.
        body: JSON to POST; GET without.

    Raises:
        ClusterError: There was no answer, or one that is too large, too slow, or not JSON.
    """
    target = f"{path}?{urlencode(query)}" if query else path
    with translate(connection.name, path):
        response = connection.open(target, (_CONNECT_SECONDS, _READ_SECONDS), body)
        try:
            if response.status not in {200, 201}:
                return response.status, None
            content = _body(connection, path, response)
        finally:
            response.close()
    try:
        values = list(read_json(content))
    except (InputError, UnicodeDecodeError):
        raise strange(connection, path) from None
    if len(values) != 1:
        raise strange(connection, path)
    return response.status, values[0]


def page_of(connection: Opener, path: str, body: Any) -> Page:
    """Reads an answer as a part of a list.

    Raises:
        ClusterError: It is none.
    """
    items = body.get("items") if isinstance(body, dict) else None
    metadata = body.get("metadata") if isinstance(body, dict) else None
    metadata = metadata if isinstance(metadata, dict) else {}
    token, version = metadata.get("continue"), metadata.get("resourceVersion")
    is_list = isinstance(body, dict) and isinstance(body.get("kind"), str) and body["kind"].endswith("List")
    items = [] if items is None and is_list else items
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise strange(connection, path)
    if not all(text is None or isinstance(text, str) for text in (token, version)):
        raise strange(connection, path)
    return Page(items, token or "", version or "")


def _body(connection: Opener, path: str, response: Any) -> bytes:
    """The whole body, bounded in size and in time: a server that sends a byte now and then holds nobody up."""
    deadline = time.monotonic() + _PAGE_SECONDS
    content = bytearray()
    while chunk := response.read1(_CHUNK):
        content += chunk
        if len(content) > MAX_PAGE_BYTES or time.monotonic() > deadline:
            raise ClusterError(
                "the answer is too large or too slow",
                where=(connection.name, path),
                remedy="Check what answers at this address",
            )
    return bytes(content)


def strange(connection: Opener, path: str) -> ClusterError:
    """The error for an answer that no API server gives."""
    return ClusterError(
        "the answer is not a list of Kubernetes objects",
        where=(connection.name, path),
        remedy="Check what answers at this address",
    )
