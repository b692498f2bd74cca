"""HTTP/1 requests (RFC 9112): for which host they are."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from netpol.capture.name_evidence import Trait

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""With which a client begins HTTP/2 that it need not negotiate (RFC 9113, 3.4), outside of TLS for one."""

METHODS: Final = (b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"CONN", b"OPTI", b"TRAC", b"PATC", PREFACE[:4])
"""The first four bytes of a request (RFC 9110, 9.1; RFC 5789)."""

LONGEST_HEAD: Final = 1 << 14
"""Bytes of a request's head that are waited for; servers take 8 to 16 KiB."""

_LINE: Final = re.compile(
    rb"(GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH) ([^ \r\n]{1,8000}) HTTP/1\.[01]\r?\n"
)
_HOST: Final = re.compile(rb"\nhost:([^\r\n]*)\r?\n", re.IGNORECASE)
_END: Final = re.compile(rb"\n\r?\n")
_LENGTH: Final = re.compile(rb"\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r?\n", re.IGNORECASE)
_ABSOLUTE: Final = re.compile(rb"https?://(?:[^/@]*@)?([^/?#]*)", re.IGNORECASE)
_PORT: Final = re.compile(rb":[0-9]*$")


class Request(NamedTuple):
    """What a request's head says.

    Attributes:
        name: The host without its port, empty where there is none.
        traits: HTTP, and PROXY where the host is not the server's own name.
    """

    name: bytes
    traits: Trait


def read_requests(data: bytes) -> tuple[list[Request], bool]:
    """The requests that stand one behind the other in `data`, and whether the last one needs more bytes to be told.

    An absolute request target comes before the Host field (RFC 9112, 3.2.2).
    """
    found: list[Request] = []
    at = 0
    while line := _LINE.match(data, at):
        end = _END.search(data, line.end() - 1)
        head_end = end.end() if end else len(data)
        request = _request(line, data[line.end() - 1 : head_end], whole=end is not None)
        if request is None:
            return found, True
        found.append(request)
        if end is None:
            return found, False
        length = _LENGTH.search(data, line.end() - 1, head_end)
        at = head_end + (int(length[1]) if length else 0)
    # A line that is not all there may still become a request.
    return found, at < len(data) and not found and b"\n" not in data


def _request(line: re.Match[bytes], fields: bytes, *, whole: bool) -> Request | None:
    """None: the head is not all there, and what is there does not say it."""
    method, target = line.groups()
    if method == b"CONNECT":
        return Request(_without_port(target), Trait.HTTP | Trait.PROXY)
    absolute = _ABSOLUTE.match(target)
    if absolute:
        return Request(_without_port(absolute[1]), Trait.HTTP)
    host = _HOST.search(fields)
    if host:
        return Request(_without_port(host[1].strip(b" \t")), Trait.HTTP)
    return Request(b"", Trait.HTTP) if whole else None


def _without_port(host: bytes) -> bytes:
    return _PORT.sub(b"", host) if host.count(b":") == 1 or host.startswith(b"[") else host
