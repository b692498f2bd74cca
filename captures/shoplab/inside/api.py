"""The shop's API: HTTP in front, a PostgreSQL and a Redis connection that stay open behind, metrics on another port.

The PostgreSQL connection is a psql process that is kept open, the Redis connection a socket that speaks RESP
(https://redis.io/docs/latest/develop/reference/protocol-spec/); both open before the server starts to listen. Each
attempt to connect anywhere is written to the log as it happens, one JSON object a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

_STATSD = ("10.244.2.50", 8125)
"""A StatsD exporter that used to live beside Prometheus: nothing listens there now."""
_SYSLOG = ("198.51.100.99", 514)
_TELEMETRY = ("198.51.100.99", 443)


class Log:
    """Writes down each connection attempt."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)
        self._lock = threading.Lock()

    def add(self, remote: tuple[str, int], outcome: str, protocol: str = "TCP") -> None:
        """One attempt: the address dialled and what became of it."""
        with self._lock:
            self._file.write(json.dumps({"remote": remote, "protocol": protocol, "outcome": outcome}) + "\n")


def resolve(name: str, port: int) -> tuple[str, int]:
    """The first address of a name."""
    host, number = socket.getaddrinfo(name, port, socket.AF_INET, socket.SOCK_STREAM)[0][4][:2]
    return str(host), int(number)


class Postgres:
    """One psql process whose connection stays open."""

    def __init__(self, log: Log) -> None:
        address = resolve("postgres.data.svc.cluster.local", 5432)
        environment = {**os.environ, "PGHOSTADDR": address[0], "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}
        self._lock = threading.Lock()
        self._psql = subprocess.Popen(
            ["psql", "-AtqX", "-h", "postgres", "-U", "postgres"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.query("SELECT 1")
        log.add(address, "established")

    def query(self, sql: str) -> list[str]:
        """The lines of the answer."""
        stdin, stdout = self._pipes()
        with self._lock:
            stdin.write(f"{sql};\n\\echo end-of-answer\n")
            stdin.flush()
            return list(iter(lambda: stdout.readline().strip(), "end-of-answer"))

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        if self._psql.stdin is None or self._psql.stdout is None or self._psql.poll() is not None:
            raise RuntimeError("psql has gone")
        return self._psql.stdin, self._psql.stdout


class Redis:
    """One connection that stays open."""

    def __init__(self, log: Log) -> None:
        address = resolve("redis.data.svc.cluster.local", 6379)
        self._lock = threading.Lock()
        self._socket = socket.create_connection(address, 5)
        self._answers = self._socket.makefile("rb")
        log.add(address, "established")

    def call(self, *words: str) -> str:
        """One command; its answer as text, empty for nil."""
        parts = b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words)
        with self._lock:
            self._socket.sendall(b"*%d\r\n%s" % (len(words), parts))
            head = self._answers.readline().decode().strip()
            if head.startswith("$") and head != "$-1":
                return self._answers.read(int(head[1:]) + 2).decode().strip()
        return "" if head == "$-1" else head[1:]


class Shop:
    """What the requests do."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._postgres = Postgres(log)
        self._redis = Redis(log)

    def products(self) -> Any:
        """From the cache, or else from the database and into the cache."""
        cached = self._redis.call("GET", "products")
        if cached:
            return json.loads(cached)
        rows = self._postgres.query("SELECT name FROM product ORDER BY name")
        self._redis.call("SET", "products", json.dumps(rows), "PX", "150")
        return rows

    def recommend(self) -> Any:
        """Ask a Service behind which nothing runs; fall back to nothing."""
        address = resolve("recommendations.shop.svc.cluster.local", 80)
        self._attempt(address)
        return []

    def checkout(self) -> Any:
        """Write the order; tell a collector that is not there, a log host that never answers and a dead vendor."""
        resolve("postgres.data.svc.cluster.local", 5432)  # the pool looks whether its server has moved
        self._postgres.query("INSERT INTO purchase DEFAULT VALUES")
        self._redis.call("INCR", "purchases")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
            statsd.sendto(b"shop.checkout:1|c", _STATSD)
            self._log.add(_STATSD, "refused", "UDP")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
            syslog.sendto(b"<134>1 - api shop - - - checkout", _SYSLOG)
            self._log.add(_SYSLOG, "unanswered", "UDP")
        self._attempt(_TELEMETRY)
        return "accepted"

    def sweep(self) -> Any:
        """Forget the carts that nobody came back for."""
        return self._redis.call("DEL", "carts")

    def _attempt(self, address: tuple[str, int]) -> None:
        outcome = "established"
        try:
            socket.create_connection(address, 1.5).close()
        except ConnectionRefusedError:
            outcome = "refused"
        except TimeoutError:
            outcome = "unanswered"
        self._log.add(address, outcome)


class Handler(BaseHTTPRequestHandler):
    """Routes a path to the shop."""

    protocol_version = "HTTP/1.1"
    shop: Shop

    def do_GET(self) -> None:
        """Answer a request."""
        routes = {
            "/healthz": lambda: "ok",
            "/metrics": lambda: "shop_requests_total 1",
            "/products": self.shop.products,
            "/recommend": self.shop.recommend,
            "/checkout": self.shop.checkout,
            "/sweep": self.shop.sweep,
        }
        route = routes.get(self.path)
        body = json.dumps(route() if route else "no such thing").encode()
        self.send_response(200 if route else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Answer a request that carries something."""
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Stay silent: the log is for connections."""


class Server(ThreadingHTTPServer):
    """Does not complain about scanners that hang up without a word."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke off is the client's business."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def main() -> None:
    """Open the pools, then listen; say so on stdout; serve until stdin ends."""
    Handler.shop = Shop(Log(Path(sys.argv[1])))
    for port in (3000, 9102):
        server = Server(("0.0.0.0", port), Handler)  # noqa: S104 - the pod has no other address to choose
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        sys.stdin.read()


if __name__ == "__main__":
    main()
