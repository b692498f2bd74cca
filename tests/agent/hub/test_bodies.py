"""Bodies that do not arrive, and too many at once: asked of the application itself, with limits one can wait for."""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from netpol.agent.hub import app as app_module
from netpol.agent.hub.admission import Admission
from netpol.agent.hub.app import Front, Health, application
from netpol.agent.hub.callers import Callers, Rights
from netpol.agent.hub.inbox import Inbox
from netpol.agent.hub.intake import Intake
from netpol.agent.hub.limits import Limits
from netpol.agent.hub.logs import Log
from netpol.agent.hub.metrics import Metrics
from netpol.agent.hub.state import State
from netpol.agent.hub.tokens import TokenFile
from tests.agent.hub.processes import TOKENS, WRITER
from tests.agent.hub.windows import body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.applications import Starlette

    Receive = Callable[[], Awaitable[dict[str, Any]]]


@pytest.fixture(name="app")
def _app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starlette]:
    monkeypatch.setattr(app_module, "_DRAIN_SECONDS", 0.2)
    limits = Limits(body_seconds=2, bodies=1000, reserve=0)
    (tmp_path / "tokens").write_text(TOKENS)
    log, metrics = Log(io.StringIO()), Metrics()
    with ExitStack() as held:
        state = State(tmp_path / "state.sqlite")
        held.callback(state.close)
        intake = Intake(Inbox(tmp_path / "inbox"), Admission(state, limits), log)
        intake.start()
        held.callback(intake.stop)
        rights = Rights(frozenset(), frozenset())
        callers = Callers(tokens=TokenFile(tmp_path / "tokens"), reviewer=None, rights=rights, log=log)
        front = Front(callers=callers, intake=intake, limits=limits, metrics=metrics, health=Health([], []))
        yield application(front.routes(), metrics)


async def send(app: Starlette, identity: str, length: int, receive: Receive) -> tuple[int, dict[str, str], Any]:
    """One request."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = {
        "authorization": f"Bearer {WRITER}",
        "content-type": "application/vnd.netpol.window",
        "content-length": str(length),
    }
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": f"/v1/windows/{identity}",
        "raw_path": b"",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("192.0.2.1", 1),
        "server": ("192.0.2.2", 2),
        "state": {},
    }
    await app(scope, receive, send)
    answer = b"".join(message.get("body", b"") for message in sent[1:])
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, json.loads(answer)


def given(*chunks: bytes) -> Receive:
    """A sender that sends these, and then nothing more."""
    left = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


def test_a_body_that_stops_coming_is_given_up(app: Starlette) -> None:
    identity, data = body()
    status, headers, said = asyncio.run(send(app, identity, len(data), given(data[:5], data[5:9])))
    assert (status, headers["connection"]) == (408, "close")
    assert said == {"error": "the window did not arrive in time"}


def test_bodies_that_do_not_fit_have_to_wait(app: Starlette) -> None:
    async def several() -> list[tuple[int, dict[str, str], Any]]:
        waiting = [send(app, f"{'0' * 31}{number}-00000000", 400, given()) for number in range(3)]
        return await asyncio.gather(*waiting)

    answers = asyncio.run(several())
    assert sorted(status for status, _, _ in answers) == [408, 408, 429]
    (busy,) = (headers for status, headers, _ in answers if status == 429)
    assert int(busy["retry-after"]) > 0
    # What they held is free again.
    identity, data = body()
    whole = [{"type": "http.request", "body": data, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return whole.pop()

    assert asyncio.run(send(app, identity, len(data), receive))[2] == {"stored": True}
