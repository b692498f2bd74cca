"""What it costs to keep a cluster's history while pods come and go: `python -m tests.benchmarks.history`.

A process of its own plays the API server: 10,000 pods in pages, then lives of pods as fast as they are taken, each of
four events: one pod is deleted, its successor made, given the address, and changed in something that does not matter. A
pod is 6 kB of JSON, as kubelets write them. What counts is CPU time, because the machine does other things, and memory.

Prints one JSON object. With --require answer it leaves with 1 where memory went beyond 150 MiB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from netpol.cluster.access import connect
from netpol.cluster.history import History
from netpol.cluster.watch import Watcher

_PAGE: Final = 500
_MOST_MIB: Final = 150


def pod(number: int, address: int, version: int, **more: Any) -> dict[str, Any]:
    """A pod with what real ones carry and netpol leaves out."""
    ip = f"10.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"
    fields: dict[str, Any] = {f"f:field{one}": {".": {}, f"k:x{one}": {}} for one in range(60)}
    managed = [{"manager": "kubelet", "operation": "Update", "fieldsV1": {"f:status": fields}}]
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f", "uid": "x", "controller": True}
    metadata: dict[str, Any] = {"name": f"web-5d4f-{number}", "namespace": "shop", "uid": f"uid-{number}"}
    metadata |= {"resourceVersion": str(version), "creationTimestamp": "2026-01-01T12:00:00Z"}
    labels = {"app": "web", "pod-template-hash": "5d4f"}
    container: dict[str, Any] = {"name": "c", "image": "x", "ports": [{"containerPort": 8080}]}
    container["env"] = [{"name": f"E{one}", "value": "v" * 40} for one in range(20)]
    conditions = [
        {"type": one, "status": "True", "lastTransitionTime": "2026-01-01T12:00:01Z"}
        for one in ("Ready", "Initialized", "ContainersReady", "PodScheduled")
    ]
    states = [{"name": "c", "state": {"running": {}}, "image": "x" * 80, "imageID": "y" * 90, "containerID": "z" * 80}]
    status = {"phase": "Running", "conditions": conditions, "containerStatuses": states, "hostIP": "192.0.2.1"}
    addresses = {"podIP": ip, "podIPs": [{"ip": ip}]} if address >= 0 else {}
    return {
        "metadata": {**metadata, "labels": labels, "managedFields": managed, "ownerReferences": [owner], **more},
        "spec": {"nodeName": "w1", "containers": [container]},
        "status": {**status, **addresses},
    }


def life(number: int, successor: int, version: int) -> list[tuple[str, dict[str, Any]]]:
    """The four events with which one pod takes another's place."""
    return [
        ("DELETED", pod(number, number, version)),
        ("ADDED", pod(successor, -1, version + 1)),
        ("MODIFIED", pod(successor, number, version + 2)),
        ("MODIFIED", pod(successor, number, version + 3, annotations={"checked": "yes"})),
    ]


def serve(pods: int, lives: int) -> None:
    """Plays the API server until killed; prints its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # the library's name
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            ours = parts.path == "/api/v1/pods"
            if "watch" not in query:
                start = int(query.get("continue", 0))
                end = min(start + _PAGE, pods) if ours else 0
                items = [pod(number, number, 1) for number in range(start, end)]
                metadata = {"resourceVersion": "1", "continue": str(end) if end < pods and ours else ""}
                self.answer(json.dumps({"kind": "PodList", "metadata": metadata, "items": items}).encode())
                return
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for first in range(0, lives if ours else 0, 25):
                events = [
                    json.dumps({"type": type_, "object": item}).encode()
                    for number in range(first, min(first + 25, lives))
                    for type_, item in life(number, pods + number, 4 * number + 2)
                ]
                body = b"\n".join(events) + b"\n"
                self.wfile.write(b"%x\r\n%b\r\n" % (len(body), body))
            threading.Event().wait()

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)  # noqa: T201  # the parent reads it
    server.serve_forever()


def measure(port: int, folder: Path, lives: int) -> dict[str, float]:
    """Watches that server until it has said all."""
    config = folder / "kubeconfig"
    cluster = {"name": "k", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    users, contexts = [{"name": "u", "user": {}}], [{"name": "c", "context": {"cluster": "k", "user": "u"}}]
    head = {"apiVersion": "v1", "kind": "Config", "current-context": "c"}
    config.write_text(json.dumps({**head, "clusters": [cluster], "users": users, "contexts": contexts}))
    history, stop = History.open(folder / "history"), threading.Event()
    watcher = Watcher(connect(None, config), history, stop)
    thread = threading.Thread(target=watcher.run)
    started = time.process_time()
    thread.start()
    while watcher.status()["pods"].state != "watching":
        time.sleep(0.1)
    listed = time.process_time()
    while watcher.status()["pods"].events < 4 * lives:
        time.sleep(0.1)
    taken = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    stop.set()
    thread.join()
    size = history.size()
    before = time.process_time()
    pods = len(history.inventory().pods)
    read = time.process_time()
    exported = sum(map(len, history.text()))
    history.close()
    return {
        "list_cpu_seconds": round(listed - started, 2),
        "events": 4 * lives,
        "events_per_cpu_second": round(4 * lives / (taken - listed)),
        "peak_mib": round(peak),
        "states": size.states,
        "file_mib": round(size.bytes / (1 << 20), 1),
        "inventory_pods": pods,
        "inventory_cpu_seconds": round(read - before, 2),
        "export_mib": round(exported / (1 << 20), 1),
    }


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--lives", type=int, default=10_000)
    parser.add_argument("--require", choices=["answer"])
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.pods, options.lives)
    sizes = [f"--pods={options.pods}", f"--lives={options.lives}"]
    command = [sys.executable, "-m", "tests.benchmarks.history", "--serve", *sizes]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server, tempfile.TemporaryDirectory() as folder:
        assert server.stdout is not None
        try:
            found = measure(int(server.stdout.readline()), Path(folder), options.lives)
        finally:
            server.kill()
    print(json.dumps(found, indent=1))  # noqa: T201  # the result
    if options.require and found["peak_mib"] > _MOST_MIB:
        sys.exit(1)


if __name__ == "__main__":
    main()
