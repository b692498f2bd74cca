"""What agents record of real kernels' traffic is what tcpdump records: the same rows."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from tests.agent import live_traffic as traffic
from tests.agent.live_world import (
    CLIENT,
    FAR,
    SERVER,
    SERVER_6,
    VIRTUAL,
    Recording,
    World,
    needs_world,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = [pytest.mark.namespaces, needs_world]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    found = World()
    try:
        found.build()
        yield found
    finally:
        found.close()


def client_hello() -> bytes:
    """What OpenSSL says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    talk = context.wrap_bio(incoming, outgoing, server_hostname="shop.example")
    with pytest.raises(ssl.SSLWantReadError):
        talk.do_handshake()
    return outgoing.read()


@pytest.fixture(scope="module")
def everything(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    """All kinds of traffic, over several windows, seen by both."""
    folder = tmp_path_factory.mktemp("live")
    with (
        world.serving("server", traffic.SERVERS, SERVER, SERVER_6),
        world.serving("far", traffic.SERVERS, FAR, "-"),
        world.serving("server", traffic.SCTP_SERVER),
    ):
        world.nft("client", "type filter hook output priority 0", "tcp sport 40404 tcp flags rst drop")
        recording = Recording(world, folder, "--sample", "0")
        world.python("client", traffic.SYN_ONLY, CLIENT, SERVER, "8000")
        ends = (SERVER, SERVER_6, FAR, VIRTUAL, client_hello().hex())
        world.python("client", traffic.TALK, *ends)
        world.python("client", traffic.SCTP_CLIENT, SERVER)
        holder = world.start("client", "python3", "-c", traffic.HOLD, SERVER, FAR)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        ports = "8000,8001,9,10,7777"
        run(*f"ip netns exec {world.name('client')} nmap -n -Pn -sS --max-retries 0 -p {ports} {SERVER}".split())
        recording.stop()
        yield recording


def test_rows_are_those_of_a_full_capture(everything: Recording) -> None:
    agent, full = everything.rows_of_agent(), everything.rows_of_everything()
    assert "\n".join(map(str, sorted(agent - full, key=str))) == "\n".join(map(str, sorted(full - agent, key=str)))
    assert len(full) > 20
