"""The rewriting rules of a node, in the words of kube-proxy's iptables mode and of flannel's masquerading."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from shoplab.description import POD_NETWORK, SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shoplab.description import Node, Pod, Service, ServicePort

_MARK = "0x4000"


def rules(node: Node) -> str:
    """All rules of a node as input for iptables-restore."""
    lines = ["*nat", ":KUBE-SERVICES - [0:0]", ":KUBE-NODEPORTS - [0:0]", ":KUBE-MARK-MASQ - [0:0]"]
    lines += [":KUBE-POSTROUTING - [0:0]", ":FLANNEL-POSTRTG - [0:0]"]
    lines += ["-A PREROUTING -j KUBE-SERVICES", "-A OUTPUT -j KUBE-SERVICES"]
    lines += ["-A POSTROUTING -j KUBE-POSTROUTING", "-A POSTROUTING -j FLANNEL-POSTRTG"]
    lines += [f"-A KUBE-MARK-MASQ -j MARK --or-mark {_MARK}"]
    lines += [f"-A KUBE-POSTROUTING -m mark ! --mark {_MARK}/{_MARK} -j RETURN", "-A KUBE-POSTROUTING -j MASQUERADE"]
    lines += [
        f"-A FLANNEL-POSTRTG -s {POD_NETWORK} -d {POD_NETWORK} -j RETURN",
        f"-A FLANNEL-POSTRTG -s {POD_NETWORK} ! -d 224.0.0.0/4 -j MASQUERADE --random-fully",
    ]
    for service in SERVICES:
        for port in service.ports:
            lines += _service(node, service, port)
    lines += ["-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS", "COMMIT", "*filter"]
    lines += [
        f"-A {chain} -d {service.address}/32 -p {port.protocol.lower()} --dport {port.port} -j REJECT"
        for service in SERVICES
        for port in service.ports
        for chain in ("FORWARD", "OUTPUT")
        if not service.backends(port)
    ]
    return "\n".join([*lines, "COMMIT", ""])


def _service(node: Node, service: Service, port: ServicePort) -> Iterator[str]:
    backends = service.backends(port)
    if not backends:
        return
    protocol = port.protocol.lower()
    chain = _chain("SVC", service, port)
    yield f":{chain} - [0:0]"
    for pod, number in backends:
        endpoint = _chain("SEP", service, port, pod)
        yield f":{endpoint} - [0:0]"
        yield f"-A {endpoint} -s {pod.address}/32 -j KUBE-MARK-MASQ"
        yield f"-A {endpoint} -p {protocol} -j DNAT --to-destination {pod.address}:{number}"
    match = f"-d {service.address}/32 -p {protocol} --dport {port.port}"
    yield f"-A {chain} ! -s {POD_NETWORK} {match} -j KUBE-MARK-MASQ"
    yield from _choose(chain, service, port, [pod for pod, _ in backends])
    yield f"-A KUBE-SERVICES {match} -j {chain}"
    if service.load_balancer:
        # externalTrafficPolicy Local: only this node's own pods, and the client's address stays.
        local = _chain("SVL", service, port)
        yield f":{local} - [0:0]"
        yield from _choose(local, service, port, [pod for pod, _ in backends if pod.node == node])
        yield f"-A KUBE-SERVICES -d {service.load_balancer}/32 -p {protocol} --dport {port.port} -j {local}"
        yield f"-A KUBE-NODEPORTS -p {protocol} --dport {port.node_port} -j {local}"


def _choose(chain: str, service: Service, port: ServicePort, pods: list[Pod]) -> Iterator[str]:
    """One endpoint chain after the other, each with the chance that makes all equally likely."""
    for position, pod in enumerate(pods):
        left = len(pods) - position
        chance = f"-m statistic --mode random --probability {1 / left:.5f} " if left > 1 else ""
        yield f"-A {chain} {chance}-j {_chain('SEP', service, port, pod)}"


def _chain(kind: str, service: Service, port: ServicePort, pod: Pod | None = None) -> str:
    text = f"{service.namespace}/{service.name}:{port.name}" + (pod.key if pod else "")
    return f"KUBE-{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16].upper()}"
