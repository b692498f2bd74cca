"""What agents record of real kernels' traffic is what tcpdump records: the same rows."""

from __future__ import annotations

import ssl
import sys
from typing import TYPE_CHECKING

import pytest

from netpol.capture.packets import Tally
from netpol.capture.read import read_packets
from netpol.flows.assemble import assemble
from netpol.model.flow import TCP
from tests.agent import live_traffic as traffic
from tests.agent.live_world import (
    CLIENT,
    END_SECONDS,
    FAR,
    SERVER,
    SERVER_6,
    VIRTUAL,
    Recording,
    World,
    await_line,
    needs_world,
    rows,
    run,
)
from tests.cluster.watching import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
def everything(world: World, tmp_path_factory: pytest.TempPathFactory) -> Recording:
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
    return recording


def test_names_are_heard(everything: Recording) -> None:
    """The DNS answer over UDP and TCP, and the name in OpenSSL's ClientHello."""
    names = [window.names for window in everything.windows()]
    assert {name for each in names for name in each.names} == {"ghost.example", "shop.example"}
    assert sum(len(each.greetings) for each in names) >= 1
    assert sum(len(each.leases) for each in names) >= 1


def test_nothing_was_lost(everything: Recording) -> None:
    for window in everything.windows():
        losses = window.losses
        assert (losses.kernel, losses.evicted, losses.windows, losses.records) == (0, 0, 0, 0)
        assert window.interfaces == 5


def test_a_connection_that_was_open_before_is_found_by_the_sample(world: World, tmp_path: Path) -> None:
    """Who is the client is unknown as in a full capture; that data went both ways is known."""
    with (
        world.serving("server", traffic.SERVERS, SERVER, "-"),
        world.serving("client", traffic.STREAM, SERVER),
    ):
        recording = Recording(world, tmp_path, "--sample", "32")
        await_line(recording.agent, "window 1:")
        recording.stop()
    agent = max(assemble(window.records for window in recording.windows()), key=lambda flow: flow.packets)
    full = max(assemble(read_packets([recording.capture], Tally())), key=lambda flow: flow.packets)
    assert rows([agent]) == rows([full])
    assert agent.outcome.label == "midstream"
    assert agent.two_way
    assert full.two_way
    assert agent.packets < full.packets / 4


def test_the_kernel_tells_of_connections_that_were_open_before(world: World, tmp_path: Path) -> None:
    """Who opened them and which server answers behind the Service, though no packet is ever seen."""
    with (
        world.serving("server", traffic.SERVERS, SERVER, "-"),
        world.serving("client", traffic.HOLD_TALKED, VIRTUAL, "80"),
    ):
        recording = Recording(world, tmp_path, "--sample", "0", "--conntrack")
        recording.stop()
        dropped = ("setpriv", "--bounding-set=-all,+net_raw", "--inh-caps=-all")
        words = f"-m netpol agent --spool {tmp_path / 'other'} --node-name node-a --conntrack --once --window 1s"
        poorer = world.start("node", *dropped, sys.executable, *words.split())
        _, errors = poorer.communicate(timeout=END_SECONDS)
        there = world.python("node", traffic.TRACKED)
        listed = run(*f"ip netns exec {world.name('node')} conntrack -L -p tcp --state ESTABLISHED".split())
    flows = [flow for flow in assemble(window.records for window in recording.windows()) if flow.protocol == TCP]
    assert rows(flows) == {(CLIENT, SERVER, "TCP", 8000, "midstream", "tracked", 1)}
    assert all(flow.two_way for flow in flows)
    netlink, table = there.splitlines()
    assert netlink == table
    assert "1 connections were open before" in errors  # with NET_RAW alone, out of /proc
    assert netlink.count("End(") == 2 * listed.count("ASSURED") == 2


def test_a_connection_over_several_windows_is_one(world: World, tmp_path: Path) -> None:
    with world.serving("server", traffic.SERVERS, SERVER, "-"):
        recording = Recording(world, tmp_path, "--window", "1s", "--sample", "16")
        with world.serving("client", traffic.STREAM, SERVER):
            wait_until(lambda: sum(len(window.records) > 0 for window in recording.windows()) >= 3, "several windows")
        recording.stop()
    assert recording.rows_of_agent() == recording.rows_of_everything()
    assert {row[4:] for row in recording.rows_of_agent()} == {("established", "syn", 1)}


def test_rows_are_those_of_a_full_capture(everything: Recording) -> None:
    agent, full = everything.rows_of_agent(), everything.rows_of_everything()
    assert "\n".join(map(str, sorted(agent - full, key=str))) == "\n".join(map(str, sorted(full - agent, key=str)))
    assert len(full) > 20
