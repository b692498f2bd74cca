"""Two nodes out of network namespaces with pods behind them, an agent and a recorder of everything beside each other.

    client ── node ── server            routed by `node`, where agent and tcpdump listen on all interfaces
                └──── far               another node, reached over a VXLAN

Addresses: client 10.77.1.2, server 10.77.2.2, far 10.77.9.2 (inside the VXLAN), fd77:N::2 likewise; `node` rewrites
10.96.0.10:80 to the server's port 8000.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netpol.capture.packets import Tally
from netpol.capture.read import read_packets
from netpol.dataset.window_codec import read_window
from netpol.flows.assemble import assemble
from netpol.model.flow import ICMPV6, protocol_name
from tests.agent import live_traffic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.dataset.window import Window
    from netpol.flows.table import FlowTable
    from netpol.model.flow import Address, Flow

CLIENT, SERVER, FAR, VIRTUAL = "10.77.1.2", "10.77.2.2", "10.77.9.2", "10.96.0.10"
CLIENT_6, SERVER_6 = "fd77:1::2", "fd77:2::2"
START_SECONDS = 100
END_SECONDS = 100
"""Patience with a machine that has a lot to do: where all is well, nobody waits for it."""

Row = tuple[str, str, str, int | None, str, str, int]
"""Client, server, protocol, port, outcome, direction, connections."""


def missing() -> str:
    """What this machine lacks, empty if nothing."""
    if os.geteuid() != 0:
        return "needs root"
    lacking = [program for program in ("ip", "tcpdump", "nft", "nmap") if shutil.which(program) is None]
    return f"needs {', '.join(lacking)}" if lacking else ""


needs_world = pytest.mark.skipif(bool(missing()), reason=missing() or "everything is there")


class World:
    """The namespaces. Names are of this process, so that two runs do not meet."""

    def __init__(self) -> None:
        self._prefix = f"agt{os.getpid() % 100000}"
        self._processes: list[subprocess.Popen[str]] = []

    def build(self) -> None:
        for name in ("client", "node", "server", "far"):
            run("ip", "netns", "add", self.name(name))
            self.ip(name, "link", "set", "lo", "up")
        self._join("client", 1)
        self._join("server", 2)
        self._tunnel()
        for setting in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"):
            run("ip", "netns", "exec", self.name("node"), "sysctl", "-qw", setting)
        self.nft(
            "node", "type nat hook prerouting priority -100", f"ip daddr {VIRTUAL} tcp dport 80 dnat to {SERVER}:8000"
        )
        self.nft("server", "type filter hook input priority 0", "tcp dport 7777 drop", "udp dport 7777 drop")

    def nft(self, namespace: str, *rules: str) -> None:
        """A chain with these rules."""
        text = "table ip agent_test {\nchain only {\n" + "".join(f"{rule};\n" for rule in rules) + "}\n}\n"
        run("ip", "netns", "exec", self.name(namespace), "nft", "-f", "-", text=text)

    def name(self, namespace: str) -> str:
        return f"{self._prefix}{namespace}"

    def ip(self, namespace: str, *words: str) -> None:
        run("ip", "-n", self.name(namespace), *words)

    def _join(self, pod: str, number: int) -> None:
        near, away = f"veth{number}", "eth0"
        run(
            "ip", "link", "add", near, "netns", self.name("node"), "type", "veth", "peer", away, "netns", self.name(pod)
        )
        for namespace, device, host in (("node", near, 1), (pod, away, 2)):
            self.ip(namespace, "addr", "add", f"10.77.{number}.{host}/24", "dev", device)
            self.ip(namespace, "addr", "add", f"fd77:{number}::{host}/64", "dev", device, "nodad")
            self.ip(namespace, "link", "set", device, "up")
        self.ip(pod, "route", "add", "default", "via", f"10.77.{number}.1")
        self.ip(pod, "route", "add", "default", "via", f"fd77:{number}::1")

    def _tunnel(self) -> None:
        node, far = self.name("node"), self.name("far")
        run(*f"ip link add under netns {node} type veth peer under netns {far}".split())
        for namespace, host, other in (("node", 1, 2), ("far", 2, 1)):
            self.ip(namespace, "addr", "add", f"192.168.77.{host}/24", "dev", "under")
            self.ip(namespace, "link", "set", "under", "up")
            words = ("type", "vxlan", "id", "77", "remote", f"192.168.77.{other}", "dstport", "8472", "dev", "under")
            self.ip(namespace, "link", "add", "vxlan0", *words)
            self.ip(namespace, "addr", "add", f"10.77.9.{host}/24", "dev", "vxlan0")
            self.ip(namespace, "link", "set", "vxlan0", "up")
        self.ip("far", "route", "add", "10.77.0.0/16", "via", "10.77.9.1")

    def start(self, namespace: str, *words: str) -> subprocess.Popen[str]:
        """A program in a namespace, ended with the world."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.name(namespace), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return process

    def python(self, namespace: str, program: str, *words: str) -> str:
        """What a Python program in a namespace prints."""
        return run("ip", "netns", "exec", self.name(namespace), sys.executable, "-c", program, *words)

    @contextmanager
    def serving(self, namespace: str, program: str, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A Python program in a namespace, once it has printed a line."""
        process = self.start(namespace, sys.executable, "-c", program, *words)
        assert process.stdout is not None
        assert process.stdout.readline(), process.communicate()[1]
        yield process
        process.terminate()
        process.communicate(timeout=END_SECONDS)

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for name in ("client", "node", "server", "far"):
            subprocess.run(["ip", "netns", "del", self.name(name)], check=False, capture_output=True)


def served_world() -> Iterator[World]:
    """A world in which the server answers, for as long as the generator is not exhausted."""
    world = World()
    try:
        world.build()
        with world.serving("server", live_traffic.SERVERS, SERVER, "-"):
            yield world
    finally:
        world.close()


def run(*words: str, text: str = "") -> str:
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


class Recording:
    """An agent and tcpdump, listening to the same node."""

    def __init__(self, world: World, folder: Path, *options: str, namespace: str = "node") -> None:
        self.spool, self.capture = folder / "spool", folder / "all.pcap"
        self.log: list[str] = []
        self._options = ("--window", "2s", "--node-name", "node-a", "--buffer", "16Mi", *options)
        self._world, self._namespace = world, namespace
        everything = "-i any -y LINUX_SLL2 -U --immediate-mode -s 2048 -B 65536 -Z root -w"
        self.tcpdump = world.start(namespace, "tcpdump", *everything.split(), str(self.capture))
        await_line(self.tcpdump, "listening on")
        self.agent = self.start_agent()

    def start_agent(self) -> subprocess.Popen[str]:
        agent = self._world.start(
            self._namespace, sys.executable, "-m", "netpol", "agent", "--spool", str(self.spool), *self._options
        )
        self.log.append(await_line(agent, "records on"))
        return agent

    def stop(self) -> None:
        """Both end, in good order."""
        self.agent.send_signal(signal.SIGTERM)
        _, errors = self.agent.communicate(timeout=END_SECONDS)
        self.log += errors.splitlines()
        assert self.agent.returncode == 0, errors
        self.tcpdump.send_signal(signal.SIGINT)
        _, errors = self.tcpdump.communicate(timeout=END_SECONDS)
        assert "0 packets dropped by kernel" in errors, errors

    def windows(self) -> list[Window]:
        return windows_in(self.spool)

    def rows_of_agent(self) -> set[Row]:
        return rows(assemble(window.records for window in self.windows()))

    def rows_of_everything(self) -> set[Row]:
        return rows(assemble(read_packets([self.capture], Tally())))


def windows_in(spool: Path) -> list[Window]:
    """All windows of a folder, in order."""
    found = [read_window(path.read_bytes(), path.name) for path in spool.glob("*.window")]
    return sorted(found, key=lambda window: (window.begin, window.number))


def rows(table: Iterable[Flow] | FlowTable) -> set[Row]:
    """What must be the same, however much of the packets was seen.

    Without what the kernels' neighbour discovery says whenever it likes, before and after.
    """
    return {
        (
            str(flow.client),
            str(flow.server),
            protocol_name(flow.protocol),
            flow.port,
            flow.outcome.label,
            flow.direction.label,
            flow.connections,
        )
        for flow in table
        if not (flow.protocol == ICMPV6 and (_of_the_link(flow.client) or _of_the_link(flow.server)))
    }


def _of_the_link(address: Address) -> bool:
    """An address that neighbour discovery uses: the node's ends among them."""
    of_link = address.is_link_local or address.is_multicast or address.is_unspecified
    return of_link or str(address) in {"fd77:1::1", "fd77:2::1"}


def await_line(process: subprocess.Popen[str], text: str) -> str:
    """The first line on stderr with the text in it."""
    assert process.stderr is not None
    # A process that says nothing any more is ended: waiting for its next line has no end of its own.
    timer = threading.Timer(START_SECONDS, process.kill)
    timer.start()
    try:
        seen = []
        while line := process.stderr.readline():
            if text in line:
                return line
            seen.append(line)
    finally:
        timer.cancel()
        timer.join()
    raise AssertionError("".join(seen))
