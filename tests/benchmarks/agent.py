"""How much traffic an agent keeps up with on one core, and what that costs: `sudo python tests/benchmarks/agent.py`.

Two network namespaces joined by a veth pair. In one, made-up packets are sent at a fixed rate from one core; in the
other, the agent runs on the other core, and so does tcpdump in turns with it, writing what the same kind of filter
admits to /dev/null. What counts is what the kernel dropped, the agent's memory, and the ratio of CPU times.

    mixed   3 per cent SYN, SYN-ACK and FIN, the rest data and acknowledgements
    syns    nothing but SYNs, each of another connection: the worst that can happen

On a machine that does other things, too, run it under `chrt -f 5`, so that the rate is what is offered.

Prints one JSON object. With --require answer it leaves with 1 where packets were dropped or memory went beyond 150 MiB.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

_RATE: Final = 200_000
_TOGETHER: Final = 1024
_MOST_AT_ONCE: Final = _RATE // 50
_FRAMES: Final = 1 << 16
_MOST_MEMORY: Final = 150 << 20
_FRAME: Final = np.dtype(
    [
        ("addresses", "V12"),
        *(("ethertype", ">u2"), ("version", "u1"), ("service", "u1"), ("total", ">u2"), ("identification", ">u2")),
        *(("fragment", ">u2"), ("life", "u1"), ("protocol", "u1"), ("checksum", ">u2")),
        *(("source", ">u4"), ("destination", ">u4"), ("source_port", ">u2"), ("destination_port", ">u2")),
        *(("sequence", ">u4"), ("acknowledgement", ">u4"), ("offset", "u1"), ("flags", "u1"), ("window", ">u2")),
        *(("tcp_checksum", ">u2"), ("urgent", ">u2"), ("data", "V146")),
    ]
)
"""200 bytes of Ethernet, IPv4 and TCP; what is shorter is sent shorter."""
_HEADERS: Final = 54


def frames(kind: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The packets that are sent over and over, and how long each is."""
    made = np.zeros(_FRAMES, _FRAME)
    number = np.arange(_FRAMES)
    made["addresses"] = b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01"
    made["ethertype"], made["version"], made["life"], made["protocol"], made["offset"] = 0x0800, 0x45, 64, 6, 5 << 4
    made["source"], made["destination"] = 0x0A4D0000 + (number >> 8), 0x0A4E0001
    made["source_port"], made["destination_port"] = 1024 + (number & 0xFF), 80
    made["sequence"] = number * 65_537
    flags, size = np.full(_FRAMES, 2), np.full(_FRAMES, _HEADERS)
    if kind == "mixed":
        connection, place = number // 100, number % 100
        made["source"], made["source_port"] = 0x0A4D0000 + (connection >> 6), 1024 + connection % 64
        flags = np.where(place == 0, 2, np.where(place == 1, 0x12, np.where(place == 99, 0x11, 0x10)))
        size = np.where((place > 1) & (place % 2 == 0) & (place < 99), _FRAME.itemsize, _HEADERS)
        made["acknowledgement"] = 1
    made["flags"] = flags
    made["total"] = size - 14
    return made, size


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """`struct msghdr`."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vectors_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """`struct mmsghdr`."""

    _fields_ = (("header", _Header), ("sent", ctypes.c_uint))


def send(device: str, kind: str, rate: int, seconds: float) -> None:
    """Runs in the sender's namespace: prints how many were sent in how many seconds."""
    made, size = frames(kind)
    base = made.ctypes.data
    vectors = (_Vector * _FRAMES)(
        *(_Vector(base + place * _FRAME.itemsize, int(length)) for place, length in enumerate(size))
    )
    messages = (_Message * _FRAMES)(
        *(_Message(_Header(vectors=ctypes.pointer(vectors[place]), vectors_length=1)) for place in range(_FRAMES))
    )
    library = ctypes.CDLL(None, use_errno=True)
    isn = made["sequence"].copy()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
        raw.setsockopt(263, 20, 1)  # PACKET_QDISC_BYPASS
        raw.bind((device, 0))
        begin = time.monotonic()
        sent = at = turn = missed = 0
        while (now := time.monotonic() - begin) < seconds:
            due = int(now * rate) - missed
            # Who was not let run does not make up for it by a burst that no rate describes.
            missed += max(0, due - sent - _MOST_AT_ONCE)
            while sent < min(due, int(now * rate) - missed):
                done = library.sendmmsg(raw.fileno(), ctypes.byref(messages[at]), min(_TOGETHER, _FRAMES - at), 0)
                if done < 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
                sent += done
                at = (at + done) % _FRAMES
                if at == 0:
                    turn += 1  # other connections each time round
                    made["source"] = (made["source"] & 0xFFFF) | 0x0A000000 | (turn & 0xFF) << 16
                    made["sequence"] = isn + turn
            time.sleep(0.001)
        print(json.dumps({"sent": sent, "seconds": time.monotonic() - begin}))  # noqa: T201


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def _usage(process: int) -> tuple[float, int]:
    """CPU seconds, and the most memory that was resident."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    most = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert most is not None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(most[1]) * 1024


class Pair:
    """The namespaces."""

    def __init__(self) -> None:
        self.sender, self.receiver = (f"agb{os.getpid() % 100000}{end}" for end in "sr")

    def __enter__(self) -> Self:
        for name in (self.sender, self.receiver):
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        _run("ip", "link", "add", "to", "netns", self.sender, "type", "veth", "peer", "from", "netns", self.receiver)
        for name, device in ((self.sender, "to"), (self.receiver, "from")):
            _run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
            _run("ip", "-n", name, "link", "set", device, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in (self.sender, self.receiver):
            subprocess.run(["ip", "netns", "del", name], check=False)

    def offer(self, kind: str, rate: int, seconds: float) -> dict[str, Any]:
        """Sends; what came of it."""
        words = ("ip", "netns", "exec", self.sender, "taskset", "-c", "0", sys.executable, __file__)
        text = _run(*words, "--send", "to", "--kind", kind, "--rate", str(rate), "--seconds", str(seconds))
        found: dict[str, Any] = json.loads(text)
        return found

    def listen(self, *words: str) -> subprocess.Popen[str]:
        """A program on the other core."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self.receiver, "taskset", "-c", "1", *words], stderr=subprocess.PIPE, text=True
        )


def _await(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise SystemExit(f"it ended before it said {text!r}")


def agent_run(pair: Pair, kind: str, rate: int, seconds: float) -> dict[str, Any]:
    """One run of the agent."""
    from netpol.dataset.window_codec import read_window  # noqa: PLC0415 - the sender has no use for it

    with tempfile.TemporaryDirectory() as folder:
        process = pair.listen(
            sys.executable, "-m", "netpol", "agent", "--spool", folder, "--node-name", "bench", "--window", "10s"
        )
        _await(process, "records on")
        before, _ = _usage(process.pid)
        offered = pair.offer(kind, rate, seconds)
        time.sleep(0.5)
        used, memory = _usage(process.pid)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        windows = [read_window(path.read_bytes(), path.name) for path in Path(folder).glob("*.window")]
    return {
        "sent": offered["sent"],
        "rate": round(offered["sent"] / offered["seconds"]),
        "admitted": sum(window.packets for window in windows),
        "dropped": sum(window.losses.kernel for window in windows),
        "evicted": sum(window.losses.evicted for window in windows),
        "cpu": round(used - before, 2),
        "microseconds_per_packet": round((used - before) * 1e6 / offered["sent"], 2),
        "memory": memory,
    }


def tcpdump_run(pair: Pair, kind: str, rate: int, seconds: float) -> dict[str, Any]:
    """The same of tcpdump."""
    wanted = "tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0 or udp or icmp or sctp"
    process = pair.listen("tcpdump", "-i", "from", "-s", "256", "-B", "16384", "-Z", "root", "-w", "/dev/null", wanted)
    _await(process, "listening on")
    before, _ = _usage(process.pid)
    offered = pair.offer(kind, rate, seconds)
    time.sleep(1.5)
    used, memory = _usage(process.pid)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    counts = dict(re.findall(r"(\d+) packets (captured|dropped by kernel)", errors)[::-1])
    counts = {what: int(count) for count, what in counts.items()}
    return {
        "sent": offered["sent"],
        "admitted": counts["captured"],
        "dropped": counts["dropped by kernel"],
        "cpu": round(used - before, 2),
        "microseconds_per_packet": round((used - before) * 1e6 / offered["sent"], 2),
        "memory": memory,
    }


def main() -> None:
    """Parses options, runs, prints."""
    parser = argparse.ArgumentParser(description="How much traffic an agent keeps up with.")
    parser.add_argument("--rate", type=int, default=_RATE)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--kind", choices=("mixed", "syns"), action="append")
    parser.add_argument("--require", choices=("answer",))
    parser.add_argument("--send", metavar="DEVICE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    kinds = options.kind or ["mixed", "syns"]
    if options.send:
        send(options.send, kinds[0], options.rate, options.seconds)
        return
    result: dict[str, Any] = {}
    with Pair() as pair:
        for kind in kinds:
            agents, others = [], []
            for _ in range(options.runs):
                agents.append(agent_run(pair, kind, options.rate, options.seconds))
                others.append(tcpdump_run(pair, kind, options.rate, options.seconds))
            ratios = [one["cpu"] / max(0.01, other["cpu"]) for one, other in zip(agents, others, strict=True)]
            result[kind] = {"agent": agents, "tcpdump": others, "cpu_ratio": round(sorted(ratios)[len(ratios) // 2], 2)}
    print(json.dumps(result, indent=1))  # noqa: T201
    runs = [run for kind in result.values() for run in kind["agent"]]
    if options.require and any(run["dropped"] or run["memory"] > _MOST_MEMORY for run in runs):
        sys.exit(1)


if __name__ == "__main__":
    main()
