"""Who is known by a token of the file, and what is refused."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from netpol.agent.hub.callers import Callers, Rights
from netpol.agent.hub.logs import Log
from netpol.agent.hub.refusals import RefusedError
from netpol.agent.hub.tokens import TokenFile
from netpol.cluster.token_review import Refused, Reviewed
from netpol.errors import ClusterError, InputError, UsageError

TOKEN, OTHER = "0123456789abcdef", "fedcba9876543210"


def file(folder: Path, text: str) -> Path:
    path = folder / "tokens"
    path.write_text(text)
    return path


def test_owners_are_told_apart(tmp_path: Path) -> None:
    tokens = TokenFile(file(tmp_path, f"# two\n\nwriter node-a {TOKEN}\n  reader ci {OTHER}\nwriter * {'x' * 20}\n"))
    writer, reader, anybody = tokens.caller(TOKEN), tokens.caller(OTHER), tokens.caller("x" * 20)
    assert writer
    assert reader
    assert anybody
    assert (writer.writes, writer.reads, writer.node) == (True, False, "node-a")
    assert (reader.writes, reader.reads, reader.node) == (False, True, None)
    assert (anybody.writes, anybody.node) == (True, None)
    assert tokens.caller(TOKEN[:-1]) is None
    assert tokens.caller("") is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"reader {TOKEN}", "not a token with its owner"),
        (f"owner ci {TOKEN}", "not a token with its owner"),
        (f"reader ci {TOKEN} more", "not a token with its owner"),
        ("reader ci short", "fewer than 16"),
        ("reader ci kürzer-als-nötig-ist", "printable ASCII"),
        (f"writer ../x {TOKEN}", "not a token with its owner"),
    ],
)
def test_wrong_lines_are_refused_without_repeating_them(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        TokenFile(file(tmp_path, f"\n{line}\n"))
    assert "line 2" in str(error.value)
    assert line.rsplit(maxsplit=1)[-1] not in str(error.value)


def test_a_file_that_changes(tmp_path: Path) -> None:
    path = file(tmp_path, f"reader ci {TOKEN}")
    tokens = TokenFile(path)
    assert not tokens.refresh()
    replacement = tmp_path / "new"
    replacement.write_text(f"reader ci {OTHER}")
    replacement.replace(path)
    assert tokens.refresh()
    assert tokens.caller(TOKEN) is None
    assert tokens.caller(OTHER)
    path.write_text("nonsense")
    with pytest.raises(InputError):
        tokens.refresh()
    assert tokens.caller(OTHER)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        tokens.refresh()


@pytest.mark.parametrize("name", ["netpol", "netpol/", "/x", "Netpol/x", "a/b/c", "user:", "a.b/c"])
def test_names_that_are_no_service_accounts(name: str) -> None:
    with pytest.raises(UsageError, match="no service account"):
        Rights.of([name], [])


class _Server:
    """Stands for the API server: knows some tokens, and counts how often it is asked."""

    def __init__(self, **known: Reviewed) -> None:
        self.known, self.asked, self.is_away = known, 0, False

    def remembered(self, token: str) -> None:
        assert token

    def review(self, token: str) -> Reviewed | Refused:
        self.asked += 1
        if self.is_away:
            raise ClusterError("not reachable")
        return self.known.get(token) or Refused("unknown")


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


AGENT = Reviewed(user="system:serviceaccount:netpol:netpol-agent", node="node-a")
PERSON = Reviewed(user="system:serviceaccount:netpol:netpol-reader")


def callers(server: _Server, clock: _Clock) -> Callers:
    rights = Rights.of(["netpol/netpol-agent"], ["netpol/netpol-reader", "user:jane"])
    return Callers(tokens=None, reviewer=server, rights=rights, log=Log(io.StringIO()), clock=clock)


def refused(given: Callers, headers: dict[str, str], right: str, peer: str = "192.0.2.1") -> int:
    with pytest.raises(RefusedError) as error:
        asyncio.run(given.caller(headers, peer, right))  # type: ignore[arg-type]
    return error.value.status


def test_service_accounts_may_what_was_said() -> None:
    server = _Server(agent=AGENT, person=PERSON, stranger=Reviewed(user="jane"))
    given = callers(server, _Clock())
    caller = asyncio.run(given.caller({"authorization": "Bearer agent"}, "192.0.2.1", "write"))
    assert (caller.name, caller.node) == (AGENT.user, "node-a")
    assert refused(given, {"authorization": "Bearer agent"}, "read") == 403
    assert refused(given, {"authorization": "Bearer person"}, "write") == 403
    for token in ("person", "stranger"):
        assert asyncio.run(given.caller({"x-netpol-token": token}, "192.0.2.1", "read")).reads
    # Only readers come through the API server: nobody writes with a header that a proxy may add.
    assert refused(given, {"x-netpol-token": "agent"}, "write") == 401
    assert refused(given, {"authorization": "Basic agent"}, "write") == 401
    assert refused(given, {"authorization": f"Bearer {'x' * 20_000}"}, "write") == 401
    assert refused(given, {"x-remote-user": AGENT.user}, "write") == 401


def test_whoever_guesses_has_to_wait_and_others_do_not() -> None:
    server, clock = _Server(agent=AGENT), _Clock()
    given = callers(server, clock)
    found = [refused(given, {"authorization": f"Bearer guess{number}"}, "write") for number in range(40)]
    assert set(found) == {401, 429}
    assert server.asked <= 21
    asyncio.run(given.caller({"authorization": "Bearer agent"}, "192.0.2.9", "write"))


def test_an_api_server_that_is_away() -> None:
    server, clock = _Server(agent=AGENT), _Clock()
    server.is_away = True
    given = callers(server, clock)
    assert refused(given, {"authorization": "Bearer agent"}, "write") == 503
    server.is_away = False
    asyncio.run(given.caller({"authorization": "Bearer agent"}, "192.0.2.1", "write"))
