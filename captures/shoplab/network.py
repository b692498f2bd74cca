"""The lab's network: namespaces for nodes and pods, cni0 bridges, a flannel-like VXLAN and an outside world.

    shoppers 203.0.113.7, .40 ──┐
                               wire ── 192.0.2.11 node-a ── cni0 10.244.1.1 ── pods
    partner 198.51.100.20 ──────┘  └── 192.0.2.12 node-b ── cni0 10.244.2.1 ── pods

Every device is created inside the lab's own namespaces; none ever touches the machine's own network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import zlib
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Self

from shoplab import kubeproxy
from shoplab.description import BLACK_HOLE, DNS_ADDRESS, LOAD_BALANCER, NODES, PARTNER, SHOPPERS, WEB, pods_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from shoplab.description import Node, Pod

_RESOLVER = """\
search {namespace}.svc.cluster.local svc.cluster.local cluster.local
nameserver {address}
options ndots:5{more}
"""

_LABS = count()
"""Numbers for the labs of this process: two at once must not meet."""

_SETTINGS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    # The kubelet's requirement: bridged replies must meet conntrack, or a rewritten address is never written back.
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/bridge/bridge-nf-call-ip6tables": "1",
}


def host_end(pod: Pod) -> str:
    """The name of the node's end of a pod's wire."""
    return f"veth{zlib.crc32(pod.key.encode()):08x}"


class Lab:
    """Owns every namespace, process and temporary file; leaving the context removes all of them.

    Attributes:
        folder: Scratch space for the programs inside, readable by their users.
    """

    def __init__(self) -> None:
        self._prefix = f"npshop-{os.getpid():x}-{next(_LABS)}-"
        self._namespaces: list[str] = []
        self._processes: list[tuple[subprocess.Popen[str], signal.Signals]] = []
        self.folder = Path(tempfile.mkdtemp(prefix=self._prefix))
        self.folder.chmod(0o755)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process, _ in reversed(self._processes):
            self.stop(process)
        for name in reversed(self._namespaces):
            subprocess.run(["ip", "netns", "del", name], check=False)
            shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)
        with contextlib.suppress(OSError):  # another lab's files, or nothing there
            Path("/etc/netns").rmdir()
        shutil.rmtree(self.folder, ignore_errors=True)

    def namespace(self, name: str) -> str:
        """The full name of one of the lab's namespaces."""
        return self._prefix + name

    def run(self, where: str, *command: str, text: str = "") -> str:
        """Run a command inside a namespace and return what it printed; fail when it fails."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.namespace(where), *command],
            input=text,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} in {where} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def start(
        self, where: str, command: Sequence[str], *, stop: signal.Signals = signal.SIGTERM, name: str = ""
    ) -> subprocess.Popen[str]:
        """Start a program inside a namespace; the lab stops it with `stop` at the end.

        Its messages are in `WHERE-NAME.log` of the lab's folder, by the program's own name if it is given no other.
        """
        log = self.folder / f"{where}-{name or Path(command[0]).name}.log"
        with log.open("a") as errors:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace(where), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._processes.append((process, stop))
        return process

    def stop(self, process: subprocess.Popen[str]) -> None:
        """Stop one program and wait for it."""
        with_what = next(how for known, how in self._processes if known is process)
        self._processes = [(known, how) for known, how in self._processes if known is not process]
        if process.poll() is None:
            process.send_signal(with_what)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def build(self, pods: Sequence[Pod]) -> None:
        """Build the outside world, the nodes, and the given pods."""
        self._outside()
        for node in NODES:
            self._node(node)
        self._tunnels()
        for pod in pods:
            self.add_pod(pod)

    def add_pod(self, pod: Pod, *, resolver_options: str = "") -> None:
        """Give a pod its namespace, its wire to the node's bridge, its addresses and its resolver."""
        self.add(pod.key, pod.workload.namespace, resolver_options)
        host = host_end(pod)
        self.ip(
            pod.node.name, f"link add {host} mtu 1450 type veth peer name eth0 mtu 1450 netns {self.namespace(pod.key)}"
        )
        self.ip(pod.node.name, f"link set {host} master cni0 up")
        for address, bits in zip(pod.addresses, (24, 64), strict=True):
            self.ip(pod.key, f"addr add {address}/{bits} dev eth0" + (" nodad" if ":" in address else ""))
        self.ip(pod.key, "link set eth0 up")
        self.ip(pod.key, f"route add default via {pod.node.bridge}")
        self.ip(pod.key, f"-6 route add default via fd00:10:244:{pod.node.number}::1")

    def add_machine(self, name: str, address: str) -> None:
        """Give the network between the nodes one more machine, which is no part of the cluster."""
        self.add(name)
        self.ip("wire", f"link add {name} type veth peer name eth0 netns {self.namespace(name)}")
        self.ip("wire", f"link set {name} master net0 up")
        self.ip(name, f"addr add {address}/24 dev eth0")
        self.ip(name, "link set eth0 up")

    def remove_pod(self, pod: Pod) -> None:
        """Take a finished pod's namespace away, and so its address."""
        name = self.namespace(pod.key)
        subprocess.run(["ip", "netns", "del", name], check=True)
        shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)
        self._namespaces.remove(name)

    def add(self, name: str, kubernetes_namespace: str = "", resolver_options: str = "") -> None:
        """Make a namespace; with a Kubernetes namespace for a pod of that, with its resolver."""
        full = self.namespace(name)
        subprocess.run(["ip", "netns", "add", full], check=True)
        self._namespaces.append(full)
        self.ip(name, "link set lo up")
        if kubernetes_namespace:
            files = Path("/etc/netns") / full
            files.mkdir(parents=True)
            more = f" {resolver_options}" if resolver_options else ""
            text = _RESOLVER.format(namespace=kubernetes_namespace, address=DNS_ADDRESS, more=more)
            (files / "resolv.conf").write_text(text)

    def ip(self, where: str, command: str) -> None:
        """Run `ip` on what is inside a namespace."""
        subprocess.run(["ip", "-n", self.namespace(where), *command.split()], check=True)

    def forward(self, where: str) -> None:
        """Have a namespace forward packets as a node does."""
        for key, value in _SETTINGS.items():
            self.run(where, "sh", "-c", f"if [ -e /proc/sys/{key} ]; then echo {value} > /proc/sys/{key}; fi")

    def _outside(self) -> None:
        self.add("wire")
        self.forward("wire")
        self.ip("wire", "link add net0 type bridge")
        self.ip("wire", "addr add 192.0.2.1/24 dev net0")
        self.ip("wire", "link set net0 up")
        for name, gateway, addresses in (
            ("shoppers", "203.0.113.1", SHOPPERS),
            ("partner", "198.51.100.1", (PARTNER,)),
        ):
            self.add(name)
            self.ip("wire", f"link add {name} type veth peer name eth0 netns {self.namespace(name)}")
            self.ip("wire", f"addr add {gateway}/24 dev {name}")
            self.ip("wire", f"link set {name} up")
            for address in addresses:
                self.ip(name, f"addr add {address}/24 dev eth0")
            self.ip(name, "link set eth0 up")
            self.ip(name, f"route add default via {gateway}")
        self.ip("wire", f"route add blackhole {BLACK_HOLE}")
        # What a load balancer does for externalTrafficPolicy Local: only the node that has such a pod gets the traffic.
        self.ip("wire", f"route add {LOAD_BALANCER} via {pods_of(WEB)[0].node.address}")

    def _node(self, node: Node) -> None:
        self.add(node.name)
        self.forward(node.name)
        self.ip("wire", f"link add {node.name} type veth peer name eth0 netns {self.namespace(node.name)}")
        self.ip("wire", f"link set {node.name} master net0 up")
        self.ip(node.name, f"addr add {node.address}/24 dev eth0")
        self.ip(node.name, "link set eth0 up")
        self.ip(node.name, "route add default via 192.0.2.1")
        # An address of its own: a bridge otherwise takes its lowest port's, and loses it when that pod goes away.
        self.ip(node.name, f"link add cni0 address 0a:58:0a:f4:{node.number:02x}:01 mtu 1450 type bridge")
        self.ip(node.name, f"addr add {node.bridge}/24 dev cni0")
        self.ip(node.name, f"addr add fd00:10:244:{node.number}::1/64 dev cni0 nodad")
        self.ip(node.name, "link set cni0 up")
        self.run(node.name, "iptables-restore", text=kubeproxy.rules(node))

    def _tunnels(self) -> None:
        """As flannel's vxlan backend: one device, and static neighbours instead of flooding."""
        for node in NODES:
            hardware = f"0a:58:0a:f4:{node.number:02x}:00"
            self.ip(
                node.name,
                f"link add flannel.1 address {hardware} mtu 1450 type vxlan id 1 dstport 8472 "
                f"local {node.address} dev eth0 nolearning",
            )
            self.ip(node.name, f"addr add 10.244.{node.number}.0/32 dev flannel.1")
            self.ip(node.name, "link set flannel.1 up")
            for other in NODES:
                if other is node:
                    continue
                far = f"0a:58:0a:f4:{other.number:02x}:00"
                self.run(node.name, "bridge", "fdb", "add", far, "dev", "flannel.1", "dst", other.address)
                for via, cidr in zip(
                    (f"10.244.{other.number}.0", f"fd00:10:244:{other.number}::f"), other.pod_cidrs, strict=True
                ):
                    self.ip(node.name, f"neigh add {via} lladdr {far} dev flannel.1 nud permanent")
                    self.ip(node.name, f"route add {cidr} via {via} dev flannel.1 onlink")
