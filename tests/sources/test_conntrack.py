"""conntrack's lines, as its manual and the kernel write them, and as a real kernel's table in a namespace does."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from netpol.sources.kinds import Kind, kind_of
from tests.sources.logs import CHANGED, flows_of, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

TCP = (
    "tcp      6 431999 ESTABLISHED src=10.244.1.5 dst=10.96.0.20 sport=41000 dport=80 "
    "src=10.244.2.7 dst=10.244.1.5 sport=8080 dport=41000 [ASSURED] mark=0 use=1\n"
)


def test_the_pod_behind_a_service_and_its_own_port_are_the_server() -> None:
    table, _ = flows_of(TCP.encode())
    assert rows(table) == {("10.244.1.5", "10.244.2.7", 6, 8080, "established"): (1, "tracked")}
    (flow,) = table
    assert (flow.first_seen, flow.two_way) == (CHANGED, True)


def test_a_client_that_is_rewritten_on_its_way_is_the_one_who_opened_it() -> None:
    line = (
        "ipv4     2 tcp      6 99 TIME_WAIT src=10.244.1.5 dst=198.51.100.20 sport=41000 dport=443 packets=9 bytes=800 "
        "src=198.51.100.20 dst=192.0.2.11 sport=443 dport=61000 packets=7 bytes=5000 [ASSURED] mark=0 use=2\n"
    )
    table, _ = flows_of(line.encode())
    (flow,) = table
    assert (str(flow.client), str(flow.server), flow.port) == ("10.244.1.5", "198.51.100.20", 443)
    assert (flow.packets, flow.bytes) == (16, 5800)


THERE, BACK = "src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2", "src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1"


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        (f"tcp 6 110 SYN_SENT {THERE} [UNREPLIED] {BACK} mark=0", "unanswered"),
        (f"tcp 6 59 SYN_RECV {THERE} {BACK} mark=0", "unanswered"),
        (f"tcp 6 9 CLOSE {THERE} {BACK} mark=0", "refused"),
        (f"[DESTROY] tcp 6 120 CLOSE {THERE} [UNREPLIED] {BACK}", "refused"),
        (f"[DESTROY] tcp 6 {THERE} [UNREPLIED] {BACK}", "unanswered"),
        (f"tcp 6 9 CLOSE {THERE} {BACK} [ASSURED] mark=0", "established"),
        (f"udp 17 29 {THERE} [UNREPLIED] {BACK} mark=0", "unanswered"),
        (f"udp 17 29 {THERE.replace('10.0.0.', 'fd00::')} {BACK.replace('10.0.0.', 'fd00::')} mark=0", "established"),
        (f"sctp 132 9 ESTABLISHED {THERE} {BACK} [ASSURED] mark=0", "established"),
    ],
)
def test_states_tell_what_became_of_it(line: str, outcome: str) -> None:
    table, _ = flows_of(f"{line}\n".encode())
    assert [(key[3], key[4]) for key in rows(table)] == [(2, outcome)]


def test_events_of_one_connection_count_once_and_a_port_used_again_twice() -> None:
    tuples = "src=10.0.0.1 dst=10.0.0.2 sport=40000 dport=80 {}src=10.0.0.2 dst=10.0.0.1 sport=80 dport=40000"
    events = [
        f"[1700000000.100000]\t    [NEW] tcp      6 120 SYN_SENT {tuples.format('[UNREPLIED] ')}",
        f"[1700000000.200000]\t [UPDATE] tcp      6 60 SYN_RECV {tuples.format('')}",
        f"[1700000000.300000]\t [UPDATE] tcp      6 432000 ESTABLISHED {tuples.format('')} [ASSURED]",
        f"[1700000009.500000]\t[DESTROY] tcp      6 {tuples.format('')} [ASSURED]",
        f"[1700000010.000000]\t    [NEW] tcp      6 120 SYN_SENT {tuples.format('[UNREPLIED] ')}",
    ]
    table, tally = flows_of("\n".join(events).encode())
    assert rows(table) == {
        ("10.0.0.1", "10.0.0.2", 6, 80, "established"): (1, "tracked"),
        ("10.0.0.1", "10.0.0.2", 6, 80, "unanswered"): (1, "tracked"),
    }
    established = next(flow for flow in table if flow.outcome.label == "established")
    assert (established.first_seen, established.last_seen) == (1_700_000_000_100_000_000, 1_700_000_009_500_000_000)
    assert tally.used == len(events)


def test_what_cannot_be_read_is_counted() -> None:
    lines = [
        TCP.strip(),
        TCP.strip().replace("sport=8080", "sport="),
        TCP.strip().replace("10.244.2.7", "::1"),
        TCP.split("src=10.244.2.7", maxsplit=1)[0],
        "hello",
        "gre      47 179 src=10.0.0.1 dst=10.0.0.2 srckey=0x0 src=10.0.0.2 dst=10.0.0.1 srckey=0x0",
        "conntrack v1.4.7 (conntrack-tools): 3 flow entries have been shown.",
    ]
    table, tally = flows_of("\n".join(lines).encode())
    assert len(table) == 1
    assert sum(tally.damaged.values()) == 4
    assert tally.passed_over == {"conntrack: protocol without ports": 1, "conntrack: its closing line": 1}


TO_THE_POD = ("-j", "DNAT", "--to", "10.9.0.1:8080")


def test_a_clock_that_is_set_back_between_events_ends_nothing_before_it_begins() -> None:
    tuples = f"{THERE} {BACK}"
    text = f"[1700000000.5]\t    [NEW] tcp 6 120 SYN_SENT {tuples}\n"
    text += f"[1699990000.5]\t [UPDATE] tcp 6 9 ESTABLISHED {tuples}\n"
    (flow,) = flows_of(text.encode())[0]
    assert (flow.first_seen, flow.last_seen) == (1_699_990_000_500_000_000, 1_700_000_000_500_000_000)


SPACE = f"npct-{os.getpid()}"


@pytest.fixture
def space() -> Iterator[list[str]]:
    """A namespace whose kernel tracks connections, with a Service's address that is rewritten to a local port."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "conntrack", "iptables"))):
        pytest.skip("needs root, ip, iptables and conntrack")
    inside = ["ip", "netns", "exec", SPACE]
    subprocess.run(["ip", "netns", "add", SPACE], check=True)
    try:
        for words in (
            ["ip", "link", "set", "lo", "up"],
            ["ip", "addr", "add", "10.9.0.1/32", "dev", "lo"],
            ["iptables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-d", "10.96.0.20", "--dport", "80", *TO_THE_POD],
            ["ip", "route", "add", "10.96.0.20/32", "dev", "lo"],
        ):
            if subprocess.run([*inside, *words], check=False, capture_output=True).returncode:
                pytest.skip(f"the kernel here cannot: {' '.join(words)}")
        yield inside
    finally:
        subprocess.run(["ip", "netns", "delete", SPACE], check=False)


CLIENT = """
import socket
server = socket.create_server(("10.9.0.1", 8080))
client = socket.create_connection(("10.96.0.20", 80), source_address=("10.9.0.1", 0))
peer, _ = server.accept()
client.sendall(b"x"); peer.recv(1); peer.sendall(b"y"); client.recv(1)
"""


@pytest.mark.namespaces
def test_a_real_kernels_table_is_read(space: list[str]) -> None:
    subprocess.run([*space, sys.executable, "-c", CLIENT], check=True)
    listing = subprocess.run([*space, "conntrack", "-L"], check=True, capture_output=True)
    assert kind_of(listing.stdout) is Kind.CONNTRACK
    table, tally = flows_of(listing.stdout)
    assert not tally.damaged
    assert rows(table) == {("10.9.0.1", "10.9.0.1", 6, 8080, "established"): (1, "tracked")}


@pytest.mark.namespaces
def test_a_real_kernels_events_are_read(space: list[str]) -> None:
    """Connections are made until the first event comes: the program does not say when it has begun to listen."""
    events = subprocess.Popen([*space, "conntrack", "-E", "-o", "timestamp"], stdout=subprocess.PIPE)
    assert events.stdout is not None
    try:
        for _ in range(100):
            subprocess.run([*space, sys.executable, "-c", CLIENT], check=True)
            if select.select([events.stdout], [], [], 0.1)[0]:
                break
        subprocess.run([*space, sys.executable, "-c", REFUSED], check=True)
        subprocess.run([*space, "conntrack", "-F"], check=True, capture_output=True)
        seen = b""
        while b"[DESTROY]" not in seen or b"dport=9 " not in seen.rpartition(b"[DESTROY]")[0]:
            assert select.select([events.stdout], [], [], 20)[0], seen
            seen += os.read(events.stdout.fileno(), 1 << 16)
    finally:
        events.terminate()
        rest, _ = events.communicate()
    # It may have begun another line when it was ended.
    text = (seen + rest).rpartition(b"\n")[0] + b"\n"
    assert kind_of(text) is Kind.CONNTRACK
    table, tally = flows_of(text)
    assert not tally.damaged
    found = {key: value for key, value in rows(table).items() if key[3] in {9, 8080}}
    assert found["10.9.0.1", "10.9.0.1", 6, 8080, "established"][1] == "tracked"
    assert found["10.9.0.1", "10.9.0.1", 6, 9, "refused"] == (1, "tracked")
    now = time.time_ns()
    assert all(now - 300 * 10**9 < flow.first_seen <= now for flow in table)


REFUSED = """
import socket
try:
    socket.create_connection(("10.9.0.1", 9), source_address=("10.9.0.1", 0))
except ConnectionRefusedError:
    pass
"""
