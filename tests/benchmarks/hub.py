"""How many windows a hub takes, at what price: a real process, real connections, and nothing else on the machine.

    python tests/benchmarks/hub.py --nodes 100 --windows 40 --connections 500

Each node sends its windows one after the other over one connection, as an agent does that has an hour to catch up on.
Told are windows a second, processor time for each window from the connection to the dataset, and the most memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from netpol.dataset.window_codec import write_window
from tests.agent.hub import processes
from tests.agent.hub.windows import MINUTE, this_minute, window

READER = "r" * 32


def processor_seconds(process: int) -> float:
    """What a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_megabytes(process: int) -> float:
    """The most memory that it had at once."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def send(hub: processes.Hub, token: str, windows: list[tuple[str, bytes]], taken: list[float]) -> None:
    """One node."""
    connection = hub.connect()
    for identity, data in windows:
        while True:
            begin = time.monotonic()
            answer = processes.ask(
                connection,
                "POST",
                f"/v1/windows/{identity}",
                data,
                token=token,
                content_type="application/vnd.netpol.window",
            )
            if answer.status == 200:
                taken.append(time.monotonic() - begin)
                break
            connection.close()
            time.sleep(float(answer.headers.get("retry-after", "1")))
    connection.close()


def main() -> None:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--connections", type=int, default=500)
    chosen = parser.parse_args()
    begin = this_minute() - chosen.windows * MINUTE
    sent = [
        [
            (made.identity, write_window(made))
            for number in range(chosen.windows)
            for made in (
                window(
                    observer=f"node-{node}",
                    run=f"{node:032x}",
                    number=number,
                    begin=begin + number * MINUTE,
                    connections=chosen.connections,
                    network=node % 200,
                ),
            )
        ]
        for node in range(chosen.nodes)
    ]
    tokens = "".join(f"writer node-{node} {node:032x}\n" for node in range(chosen.nodes)) + f"reader ci {READER}\n"
    taken: list[float] = []
    with tempfile.TemporaryDirectory() as folder, processes.hub(Path(folder) / "data", tokens=tokens) as hub:
        before = processor_seconds(hub.process.pid)
        since = time.monotonic()
        threads = [
            threading.Thread(target=send, args=(hub, f"{node:032x}", windows, taken))
            for node, windows in enumerate(sent)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        acknowledged = time.monotonic() - since
        while hub.get("/v1/status").json["waiting"]["windows"]:
            time.sleep(0.2)
        kept = time.monotonic() - since
        count = chosen.nodes * chosen.windows
        figures = {
            "windows": count,
            "connections a window": chosen.connections,
            "bytes a window": round(statistics.mean(len(data) for windows in sent for _, data in windows)),
            "windows a second, acknowledged": round(count / acknowledged, 1),
            "windows a second, in the dataset": round(count / kept, 1),
            "processor ms a window": round((processor_seconds(hub.process.pid) - before) * 1000 / count, 2),
            "acknowledged in ms, median": round(statistics.median(taken) * 1000, 1),
            "acknowledged in ms, 99 of 100": round(statistics.quantiles(taken, n=100)[98] * 1000, 1),
            "MiB at most": round(peak_megabytes(hub.process.pid), 1),
            "dataset bytes a window": round(
                sum(path.stat().st_size for path in (Path(folder) / "data").rglob("*.parquet")) / count
            ),
        }
    sys.stdout.write(f"{json.dumps(figures, indent=2)}\n")


if __name__ == "__main__":
    main()
