"""The captures: tcpdump on one node, dumpcap on the other, as people take them."""

from __future__ import annotations

import gzip
import signal
import time
from typing import TYPE_CHECKING, Self

from shoplab.description import NODE_A, NODE_B
from shoplab.network import host_end

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from shoplab.description import Pod
    from shoplab.network import Lab

SNAPLEN = 192
"""Bytes kept of each packet: a cooked header, outer headers, VXLAN and an inner IPv6 TCP header with options fit."""


class Recording:
    """Records on both nodes while the context is open, and puts the files into a folder when it closes.

    node-a.pcap: `-i any`, so every interface that a packet crosses shows it again (LINUX_SLL2, microseconds).
    node-b.pcapng.gz: eth0, cni0 and the wires of the pods that are there, each an interface of its own (Ethernet,
    nanoseconds), inside and outside the tunnel. The pods of later job runs are seen on the others.
    """

    def __init__(self, lab: Lab, folder: Path, pods: Sequence[Pod]) -> None:
        self._lab = lab
        self._folder = folder
        self._raw = {node: lab.folder / name for node, name in ((NODE_A, "node-a.pcap"), (NODE_B, "node-b.pcapng"))}
        self._wires = [host_end(pod) for pod in pods if pod.node == NODE_B]
        self._running: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        length = str(SNAPLEN)
        interfaces = [word for name in ("eth0", "cni0", *self._wires) for word in ("-i", name)]
        # -p: a bridge in promiscuous mode hands bridged packets to the node's own stack too, which delivers them again.
        commands = {
            NODE_A: ["tcpdump", "-i", "any", "-n", "-s", length, "-Z", "root", "-w", str(self._raw[NODE_A])],
            NODE_B: ["dumpcap", "-q", "-p", *interfaces, "-s", length, "-w", str(self._raw[NODE_B])],
        }
        for node, command in commands.items():
            self._running.append(self._lab.start(node.name, command, stop=signal.SIGINT))
            self._wait(self._lab.folder / f"{node.name}-{command[0]}.log", self._raw[node])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._settle()
        for process in self._running:
            self._lab.stop(process)
        if error is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "node-a.pcap").write_bytes(self._raw[NODE_A].read_bytes())
        packed = gzip.compress(self._raw[NODE_B].read_bytes(), 9, mtime=0)
        (self._folder / "node-b.pcapng.gz").write_bytes(packed)

    def _settle(self) -> None:
        """Until the recorders have what was sent: the kernel hands packets over in blocks, and others compute, too."""
        deadline = time.monotonic() + 30
        before, now = 0, self._written()
        while before != now and time.monotonic() < deadline:
            time.sleep(1.5)
            before, now = now, self._written()

    def _written(self) -> int:
        """Bytes of both files."""
        return sum(file.stat().st_size for file in self._raw.values())

    @staticmethod
    def _wait(log: Path, file: Path) -> None:
        """Until the recorder has said that it listens and has made its file."""
        deadline = time.monotonic() + 100
        while not (file.exists() and any(word in log.read_text() for word in ("listening on", "File:"))):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the recorder does not start: {log.read_text()}")
            time.sleep(0.05)
        time.sleep(0.5)  # dumpcap opens its interfaces a moment before it reads them
