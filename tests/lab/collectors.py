"""The agents and the hub in the lab: real processes, run as the manifests of `netpol deploy` run them.

An agent is in its node's network namespace. The hub is a machine of its own on the network between the nodes.
"""

from __future__ import annotations

import json
import secrets
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from shoplab.description import NODES

from tests.cluster.control_plane import inside
from tests.lab import deployed
from tests.lab.deployed import Deployed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from shoplab.description import Node
    from shoplab.network import Lab

    from tests.lab.deployed import Accounts

HUB = "192.0.2.3"
NET_RAW = 1 << 13
"""The bit of CAP_NET_RAW in a process's sets of capabilities (capabilities(7))."""
_PORT = 8443
_SECONDS = 100


def until(what: str, condition: Callable[[], bool], seconds: float = _SECONDS) -> None:
    """Wait for a condition, and fail when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.1)


def capabilities(process: subprocess.Popen[str]) -> set[int]:
    """The sets of capabilities that a running process has or could get."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return {int(lines[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb", "CapInh")} - {0}


class Hub:
    """The hub, for as long as the context is open.

    Args:
        lab: With its nodes built.
        accounts: Those in an API server by which it knows agents and readers, and follows the cluster; without them it
            knows them by a file of tokens, and no cluster.

    Attributes:
        folder: What it keeps.
        authority: The certificate that vouches for it.
        tokens: Of the agent on each node by the node's name, and of the `reader`.
    """

    def __init__(self, lab: Lab, accounts: Accounts | None = None) -> None:
        self._lab = lab
        lab.add_machine("hub", HUB)
        base = lab.folder / "hub"
        self.folder, self._scratch, tls = base / "data", base / "scratch", base / "tls"
        for folder in (self.folder, self._scratch, tls):
            folder.mkdir(parents=True)
        self.authority = tls / "tls.crt"
        _make_certificate(self.authority, tls / "tls.key")
        self._deployed = Deployed(deployed.HUB, {"/data": self.folder, "/etc/netpol/tls": tls})
        if accounts is None:
            self.tokens = {name: secrets.token_hex(24) for name in (*(node.name for node in NODES), "reader")}
            lines = [f"writer {node.name} {self.tokens[node.name]}" for node in NODES]
            (base / "tokens").write_text("\n".join([*lines, f"reader lab {self.tokens['reader']}", ""]))
            # Without an API server there is nobody to ask about accounts.
            words = [word for word in self._deployed.arguments if not word.startswith(("--writer=", "--reader="))]
            self._arguments = [*words, f"--token-file={base / 'tokens'}"]
        else:
            self.tokens = accounts.tokens
            self._arguments = [*self._deployed.arguments, "--watch", f"--kubeconfig={accounts.kubeconfig(base)}"]
        subprocess.run(["chown", "-R", self._deployed.user, str(base)], check=True)
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"https://{HUB}:{_PORT}"

    @property
    def environment(self) -> list[str]:
        """What makes a command of netpol a reader of this hub, as arguments of `env`."""
        return [f"NETPOL_HUB_TOKEN={self.tokens['reader']}", f"NETPOL_HUB_CA={self.authority}"]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = ["env", f"TMPDIR={self._scratch}", sys.executable, "-B", "-m", "netpol", *self._arguments]
        command = self._deployed.command([*program, "--batch-seconds=1"], writable=[self.folder, self._scratch])
        self.process = self._lab.start("hub", command, name="hub")
        until("the hub answers", self._answers)

    def kill(self) -> None:
        """Kill it as the kernel does when memory is short."""
        assert self.process is not None
        self.process.kill()
        self._lab.stop(self.process)

    def ask(self, path: str) -> Any:
        """What it answers to a reader."""
        context = ssl.create_default_context(cafile=str(self.authority))
        request = urllib.request.Request(self.url + path)  # noqa: S310  # https, in the lab
        request.add_header("Authorization", f"Bearer {self.tokens['reader']}")
        with (
            inside(self._lab.namespace("hub")),
            urllib.request.urlopen(request, timeout=_SECONDS, context=context) as answer,  # noqa: S310
        ):
            return json.loads(answer.read())

    def settled(self) -> bool:
        """Whether everything that it took is in the dataset."""
        return bool(self.ask("/v1/status")["waiting"]["windows"] == 0)

    def knows(self, pods: Mapping[str, str]) -> bool:
        """Whether the history that it keeps has come to these pods, by their uids, in these phases."""
        try:
            items = self.ask("/v1/cluster")["items"]
        except OSError:  # there is none yet
            return False
        known = {(item["metadata"].get("uid"), item.get("status", {}).get("phase")) for item in items}
        return pods.items() <= known

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self._lab.folder / "hub-hub.log").read_text()[-2000:]
        try:
            self.ask("/v1/status")
        except OSError:
            return False
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(_SECONDS)
            self._lab.stop(self.process)


class Agents:
    """One agent on each node, recording while the context is open; when it closes, the hub has all that they recorded.

    Args:
        lab: With its nodes built.
        hub: Where they send; None: nowhere, their windows stay in their spools.
        options: More of the agent's command line.
        name: Tells them from others in the same lab.
    """

    def __init__(self, lab: Lab, hub: Hub | None, *options: str, name: str = "agent") -> None:
        self._lab = lab
        self._hub = hub
        self._options = options
        self._name = name
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def start(self, node: Node) -> None:
        """Start the one on a node, and wait until it records."""
        spool, token, trust = (self.spool(node).with_name(name) for name in ("spool", "token", "trust"))
        for folder in (spool, token, trust):
            folder.mkdir(parents=True, exist_ok=True)
        agent = Deployed(deployed.AGENT, {"/spool": spool, "/var/run/secrets/netpol": token, "/etc/netpol": trust})
        words = [word for word in agent.arguments if not word.startswith("--hub=")]
        if self._hub is None:
            words = [word for word in words if not word.startswith(("--token-file=", "--ca-file="))]
        else:
            (token / "token").write_text(self._hub.tokens[node.name])
            (trust / "ca.crt").write_bytes(self._hub.authority.read_bytes())
            words.append(f"--hub={self._hub.url}")
        program = ["env", f"NODE_NAME={node.name}", sys.executable, "-B", "-m", "netpol", *words, *self._options]
        log = self._log(node)
        before = log.read_text().count("records on") if log.exists() else 0
        process = self._lab.start(node.name, agent.command(program, writable=[spool]), name=self._name)
        self.processes[node.name] = process

        def records() -> bool:
            assert process.poll() is None, log.read_text()[-2000:]
            return log.read_text().count("records on") > before

        until(f"the agent on {node.name} records", records)

    def kill(self, node: Node) -> None:
        """Kill the one on a node as the kernel does when memory is short."""
        process = self.processes.pop(node.name)
        process.kill()
        self._lab.stop(process)

    def stop(self, node: Node) -> None:
        """Stop the one on a node as a kubelet does, and wait until it has sent what it has."""
        process = self.processes.pop(node.name)
        process.send_signal(signal.SIGTERM)
        process.wait(_SECONDS)
        self._lab.stop(process)
        last = self._log(node).read_text().splitlines()[-1]
        assert last.endswith(" 0 wait in the spool" if self._hub else " windows in the spool"), last

    def windows(self, node: Node) -> int:
        """How many windows the agents on a node have finished."""
        return self._log(node).read_text().count("agent: window ")

    def _log(self, node: Node) -> Path:
        return self._lab.folder / f"{node.name}-{self._name}.log"

    def spool(self, node: Node) -> Path:
        """Where the one on a node keeps its windows."""
        return self._lab.folder / f"{self._name}-{node.name}" / "spool"

    def __enter__(self) -> Self:
        for node in NODES:
            self.start(node)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            for node in NODES:
                self.stop(node)
            if self._hub is not None:
                until("the hub has moved everything into its dataset", self._hub.settled)


def _make_certificate(certificate: Path, key: Path) -> None:
    more = ("-subj", "/CN=hub", "-addext", f"subjectAltName=IP:{HUB}", "-days", "2", "-nodes")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", str(key))
    subprocess.run(
        ["openssl", "req", "-x509", *curve, *more, "-out", str(certificate)], check=True, capture_output=True
    )
