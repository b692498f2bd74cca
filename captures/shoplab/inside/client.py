"""A client inside a pod, on a node or outside: does what it is told on stdin and says what became of it on stdout.

One JSON object a line in each direction. Every answer lists the connections that were opened, as this program itself
saw them: `remote` is the address that was dialled, before anything on the way rewrote it. That is the ground truth
against which the captures are held.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from typing import Any

_Answer = dict[str, Any]
_kept: dict[str, http.client.HTTPConnection] = {}
_talks: dict[str, socket.socket] = {}


def _resolve(host: str, port: int) -> str:
    """The first address of a name, asked of the resolver that the pod's resolv.conf names."""
    return str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])


def _dial(
    address: str, port: int, *, bind: tuple[str, int] | None = None, timeout: float = 5.0
) -> tuple[socket.socket | None, _Answer]:
    """Open a TCP connection; the socket when there is one, and the record of the attempt."""
    record: _Answer = {"remote": [address, port], "protocol": "TCP"}
    try:
        connection = socket.create_connection((address, port), timeout, source_address=bind)
    except ConnectionRefusedError:
        return None, {**record, "outcome": "refused"}
    except TimeoutError:
        return None, {**record, "outcome": "unanswered"}
    return connection, {**record, "outcome": "established"}


def http_request(order: _Answer) -> _Answer:
    """One request on a connection of its own; status 0 when no answer comes."""
    address = _resolve(order["host"], order["port"])
    bind = (order["bind"], 0) if "bind" in order else None
    connection, record = _dial(address, order["port"], bind=bind)
    if connection is None:
        return {"records": [record]}
    if order.get("tls"):
        # The partner's certificate is made for one run of the lab; nothing could vouch for it.
        context = ssl._create_unverified_context()  # noqa: S323, SLF001
        connection = context.wrap_socket(connection, server_hostname=order["host"])
    client = http.client.HTTPConnection(order["host"], order["port"])
    client.sock = connection
    client.request(order.get("method", "GET"), order.get("path", "/"), order.get("body"), {"Connection": "close"})
    try:
        response = client.getresponse()
        response.read()
    except TimeoutError:
        return {"records": [record], "status": 0}
    finally:
        client.close()
    return {"records": [record], "status": response.status}


def keep(order: _Answer) -> _Answer:
    """Open a connection that later `use` orders share."""
    connection, record = _dial(order["host"], order["port"])
    if connection is not None:
        client = http.client.HTTPConnection(order["host"], order["port"])
        client.sock = connection
        _kept[order["name"]] = client
    return {"records": [record]}


def use(order: _Answer) -> _Answer:
    """One request on a kept connection, which is closed when `last` is set."""
    client = _kept[order["name"]]
    client.request("GET", order["path"])
    client.getresponse().read()
    if order.get("last"):
        _kept.pop(order["name"]).close()
    return {"records": []}


def connect(order: _Answer) -> _Answer:
    """Connect and hang up: a tcpSocket probe, or an attempt that is bound to fail."""
    connection, record = _dial(order["host"], order["port"], timeout=order.get("timeout", 5.0))
    if connection is not None:
        connection.close()
    return {"records": [record]}


def ask(order: _Answer) -> _Answer:
    """One datagram, and whether anything comes back: from where nobody listens an ICMP error does, as a refusal."""
    record: _Answer = {"remote": [order["host"], order["port"]], "protocol": "UDP", "outcome": "established"}
    family = socket.AF_INET6 if ":" in order["host"] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as question:
        question.settimeout(order.get("timeout", 5.0))
        question.connect((order["host"], order["port"]))
        try:
            question.send(bytes.fromhex(order["payload"]))
            question.recv(4096)
        except ConnectionRefusedError:
            record["outcome"] = "refused"
        except TimeoutError:
            record["outcome"] = "unanswered"
    return {"records": [record]}


def answer(order: _Answer) -> _Answer:
    """Send every datagram that comes to a port back to where it came from, and let connections to it in."""
    family = socket.AF_INET6 if ":" in order["host"] else socket.AF_INET
    datagrams = socket.socket(family, socket.SOCK_DGRAM)
    datagrams.bind((order["host"], order["port"]))
    streams = socket.create_server((order["host"], order["port"]), family=family)

    def echo() -> None:
        while True:
            text, sender = datagrams.recvfrom(4096)
            datagrams.sendto(text, sender)

    def greet() -> None:
        while True:
            streams.accept()[0].close()

    for work in (echo, greet):
        threading.Thread(target=work, daemon=True).start()
    return {"records": []}


def sql(order: _Answer) -> _Answer:
    """One psql run, one connection."""
    address = _resolve(order["host"], order["port"])
    environment = {**os.environ, "PGHOSTADDR": address, "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}
    command = ["psql", "-AtqX", "-h", order["host"], "-p", str(order["port"]), "-U", "postgres", "-c", order["sql"]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    record = {
        "remote": [address, order["port"]],
        "protocol": "TCP",
        "outcome": "refused" if done.returncode else "established",
    }
    return {"records": [record], "rows": done.stdout.split()}


def listen(order: _Answer) -> _Answer:
    """Wait on a port for the other half of a conversation."""
    _talks[order["name"]] = socket.create_server((order["host"], order["port"]))
    return {"records": []}


def accept(order: _Answer) -> _Answer:
    """Take the one connection that came in."""
    with _talks[order["name"]] as server:
        _talks[order["name"]] = server.accept()[0]
    return {"records": []}


def dial(order: _Answer) -> _Answer:
    """Open a conversation from a port of one's choice."""
    connection, record = _dial(order["host"], order["port"], bind=("", order["from_port"]))
    if connection is not None:
        _talks[order["name"]] = connection
    return {"records": [record]}


def say(order: _Answer) -> _Answer:
    """Send a line."""
    _talks[order["name"]].sendall(order["text"].encode())
    return {"records": []}


def hear(order: _Answer) -> _Answer:
    """Receive a line."""
    return {"records": [], "text": _talks[order["name"]].recv(4096).decode()}


_ORDERS = {
    action.__name__: action
    for action in (http_request, keep, use, connect, ask, answer, sql, listen, accept, dial, say, hear)
}


def main() -> None:
    """Serve orders until stdin ends."""
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(_ORDERS[order["do"]](order)), flush=True)


if __name__ == "__main__":
    main()
