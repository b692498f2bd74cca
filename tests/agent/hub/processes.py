"""Hubs as they are deployed: real processes, asked through real connections."""

from __future__ import annotations

import http.client
import json
import os
import queue
import signal
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.cluster.watching import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WRITER, NODE_WRITER, READER = "w" * 32, "n" * 32, "r" * 32
TOKENS = f"# made for tests\nwriter * {WRITER}\nwriter node-a {NODE_WRITER}\nreader ci {READER}\n"
PATIENCE_SECONDS = 100
"""With a machine that has a lot to do: where all is well, nobody waits for it."""


_QUICK = """
import importlib, json, sys
for name, value in json.loads(sys.argv.pop(1)).items():
    module, _, constant = name.rpartition(".")
    setattr(importlib.import_module(module), constant, value)
from netpol.cli.main import main
main()
"""


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)


@dataclass
class Hub:
    """A running hub."""

    process: subprocess.Popen[str]
    folder: Path
    url: str
    authority: Path | None = None
    lines: list[dict[str, Any]] = field(default_factory=list)

    def connect(self, seconds: float = PATIENCE_SECONDS) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        assert parts.hostname
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=self.authority)
            return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=seconds, context=context)
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=seconds)

    def ask(self, method: str, target: str, data: bytes | None = None, *, token: str = "", **headers: str) -> Answer:
        connection = self.connect()
        try:
            return ask(connection, method, target, data, token=token, **headers)
        finally:
            connection.close()

    def get(self, target: str, token: str = READER) -> Answer:
        return self.ask("GET", target, token=token)

    def send(self, identity: str, data: bytes, token: str = WRITER, **headers: str) -> Answer:
        return self.ask(
            "POST",
            f"/v1/windows/{identity}",
            data,
            token=token,
            **{"content_type": "application/vnd.netpol.window", **headers},
        )

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        self.process.send_signal(with_signal)
        return self.process.wait(PATIENCE_SECONDS)

    def said(self, event: str) -> list[dict[str, Any]]:
        """The lines that tell of an event; waits for the first, which another thread reads."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.lines if line["event"] == event]

        wait_until(lambda: bool(found()), event, lambda: self.lines)
        return found()

    def wait_for_metric(self, text: str) -> None:
        """Waits for a line of its metrics."""
        wait_until(lambda: text.encode() in self.get("/metrics").data, text, lambda: self.lines)


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    data: bytes | None = None,
    *,
    token: str = "",
    **headers: str,
) -> Answer:
    """One request on an open connection."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        named["authorization"] = f"Bearer {token}"
    connection.request(method, target, data, named)
    response = connection.getresponse()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


@contextmanager
def hub(
    folder: Path,
    *words: str,
    tokens: str = TOKENS,
    authority: Path | None = None,
    quick: Mapping[str, float] | None = None,
) -> Iterator[Hub]:
    """A hub that answers; killed at the end if it is still there.

    Args:
        folder: What it keeps.
        words: More of its command line.
        tokens: Its token file.
        authority: The certificate that signed its own.
        quick: Other values for constants of its modules: how long it waits for what a test makes it wait for.
    """
    folder.mkdir(exist_ok=True)
    file = folder.parent / f"{folder.name}.tokens"
    if not file.exists():
        file.write_text(tokens)
        file.chmod(0o600)
    program = ["-c", _QUICK, json.dumps(quick)] if quick else ["-m", "netpol"]
    command = [sys.executable, *program, "hub", "-d", str(folder), "--token-file", str(file)]
    if "--listen" not in words:
        command += ["--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, *words], stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    found = Hub(process, folder, "", authority)
    addresses: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, found.lines, addresses))
    reader.start()
    try:
        found.url = addresses.get(timeout=PATIENCE_SECONDS)
        assert found.url, found.lines
        yield found
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        reader.join()
        assert process.stderr
        process.stderr.close()


def _read(process: subprocess.Popen[str], lines: list[dict[str, Any]], addresses: queue.Queue[str]) -> None:
    assert process.stderr
    for text in process.stderr:
        line = json.loads(text) if text.startswith("{") else {"event": "no log line", "text": text}
        lines.append(line)
        if line["event"] == "listening":
            addresses.put(line["address"])
    addresses.put("")
