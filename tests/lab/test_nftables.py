"""The lab's own translation of policies, by the kernel: each case is a rule of the API, its documentation or its suite.

Nothing of netpol takes part: this is what netpol's policies are held against.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from shoplab.enforce import Enforcer
from shoplab.network import Lab
from shoplab.programs import Client
from shoplab.scenario import standing_pods

from tests.lab.conftest import cannot_build

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.namespaces

PORTS = (81, 3000, 8080)
"""web and admin call 8080 `http`, api calls 3000 so; 81 is declared nowhere."""
ADDRESSES = {pod.key: pod.addresses for pod in standing_pods()} | {
    "partner": ("198.51.100.20",),
    "node-a": ("192.0.2.11",),
    "node-b": ("192.0.2.12",),
}


class Ground:
    """The shop's pods without its programs: on every one of them something answers on each port."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        lab.build(standing_pods())
        self._clients = {key: Client(lab, key) for key in ADDRESSES}
        for key, addresses in ADDRESSES.items():
            for address in addresses:
                for port in PORTS:
                    self._clients[key]("answer", host=address, port=port)

    def enforce(self, policies: list[dict[str, Any]]) -> None:
        Enforcer(self._lab, policies).apply(standing_pods())

    def passes(self, probe: str) -> bool:
        """Whether `SOURCE > DESTINATION PROTOCOL/PORT` gets through; `over 6` behind it for IPv6."""
        source, _, destination, port, *more = probe.split()
        address = ADDRESSES[destination][1 if more else 0]
        protocol, _, number = port.partition("/")
        if protocol == "TCP":
            answer = self._clients[source]("connect", host=address, port=int(number), timeout=2)
        else:
            answer = self._clients[source]("ask", host=address, port=int(number), payload="00", timeout=2)
        outcome: str = answer["records"][0]["outcome"]
        assert outcome in {"established", "refused"}, probe
        return outcome == "established"


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    why_not = cannot_build()
    if why_not:
        pytest.skip(why_not)
    with Lab() as lab:
        yield Ground(lab)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Policies, one YAML document each, as `NAMESPACE: spec`; and what they let pass and refuse."""

    policies: str
    passes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def read(self) -> list[dict[str, Any]]:
        return [
            {"metadata": {"namespace": namespace, "name": "p"}, "spec": spec}
            for document in yaml.safe_load_all(self.policies)
            for namespace, spec in document.items()
        ]


_WEB = "podSelector: {matchLabels: {app.kubernetes.io/name: web}}"
_API = "podSelector: {matchLabels: {app.kubernetes.io/name: api}}"
_SHOP = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}"

CASES = {
    "no policy: everything": Case(
        policies="",
        passes=("web-0 > postgres-0 TCP/81", "web-0 > postgres-0 UDP/81", "web-0 > partner TCP/81"),
    ),
    "absent policyTypes without egress rules: ingress alone": Case(
        policies="shop: {podSelector: {}}",
        passes=("web-0 > redis-0 TCP/81", "web-0 > partner TCP/81"),
        refused=("redis-0 > web-0 TCP/81", "redis-0 > web-0 UDP/81", "web-0 > api-1 TCP/81"),
    ),
    "an empty egress list alone isolates no egress": Case(
        policies="shop: {podSelector: {}, egress: []}", passes=("web-0 > redis-0 TCP/81",)
    ),
    "absent policyTypes with an egress rule: both": Case(
        policies=f"shop: {{podSelector: {{}}, egress: [{{to: [{{{_WEB}}}]}}]}}",
        refused=("web-0 > redis-0 TCP/81", "redis-0 > web-0 TCP/81", "api-0 > web-0 TCP/81"),
    ),
    "policyTypes Egress leaves ingress open": Case(
        policies="shop: {podSelector: {}, policyTypes: [Egress]}",
        passes=("redis-0 > web-0 TCP/81",),
        refused=("web-0 > redis-0 TCP/81", "web-0 > partner TCP/81", "web-0 > node-b TCP/81"),
    ),
    "[{}] is everything": Case(
        policies="shop: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}",
        passes=(
            "redis-0 > web-0 TCP/81",
            "redis-0 > web-0 UDP/81",
            "web-0 > partner TCP/81",
            "web-0 > redis-0 TCP/81 over 6",
        ),
    ),
    "podSelector alone: the policy's own namespace": Case(
        policies="shop: {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}",
        passes=("api-1 > web-0 TCP/81", "web-0 > admin-0 TCP/81"),
        refused=("redis-0 > web-0 TCP/81",),
    ),
    "namespaceSelector alone: all pods there": Case(
        policies=f"data: {{podSelector: {{}}, ingress: [{{from: [{{{_SHOP}}}]}}]}}",
        passes=("web-0 > redis-0 TCP/81", "admin-0 > postgres-0 UDP/81"),
        refused=("prometheus-0 > redis-0 TCP/81", "redis-0 > postgres-0 TCP/81"),
    ),
    "both in one item are AND, two items are OR": Case(
        policies=f"data: {{podSelector: {{}}, ingress: [{{from: [{{{_SHOP}, {_API}}}, {{podSelector: {{}}}}]}}]}}",
        passes=("api-0 > redis-0 TCP/81", "redis-0 > postgres-0 TCP/81"),
        refused=("web-0 > redis-0 TCP/81",),
    ),
    "matchExpressions, NotIn also where the key is absent": Case(
        policies="""data: {podSelector: {matchExpressions: [{key: app, operator: In, values: [redis, other]}]},
          ingress: [{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [
            {key: app.kubernetes.io/name, operator: NotIn, values: [web]}, {key: k8s-app, operator: DoesNotExist}]}}]}]}
---
shop: {podSelector: {matchExpressions: [{key: app.kubernetes.io/instance, operator: Exists}]}, ingress: []}""",
        passes=("api-0 > redis-0 TCP/81", "postgres-0 > redis-0 TCP/81", "web-0 > postgres-0 TCP/81"),
        refused=("web-0 > redis-0 TCP/81", "coredns-1 > redis-0 TCP/81", "redis-0 > api-1 TCP/81"),
    ),
    "ipBlock matches pods, too; except subtracts within its block alone": Case(
        policies="""data: {podSelector: {}, ingress: [{from: [
          {ipBlock: {cidr: 10.244.0.0/16, except: [10.244.1.0/24]}}, {ipBlock: {cidr: 10.244.1.12/32}}]}]}""",
        passes=("prometheus-0 > redis-0 TCP/81", "api-0 > redis-0 TCP/81"),
        refused=("web-0 > redis-0 TCP/81", "web-0 > redis-0 TCP/81 over 6"),
    ),
    "ipBlock to the outside and to another node": Case(
        policies="""shop: {podSelector: {}, policyTypes: [Egress], egress: [{to: [
          {ipBlock: {cidr: 0.0.0.0/0, except: [192.0.2.0/24, 10.0.0.0/8]}}, {ipBlock: {cidr: "fd00::/8"}}]}]}""",
        passes=("web-0 > partner TCP/81", "web-0 > redis-0 TCP/81 over 6"),
        refused=("web-0 > node-b TCP/81", "web-0 > redis-0 TCP/81"),
    ),
    "the protocol of a port is TCP unless it says otherwise": Case(
        policies="data: {podSelector: {}, ingress: [{ports: [{port: 81}, {port: 8080, protocol: UDP}]}]}",
        passes=("web-0 > redis-0 TCP/81", "web-0 > redis-0 UDP/8080"),
        refused=("web-0 > redis-0 UDP/81", "web-0 > redis-0 TCP/8080"),
    ),
    "a protocol without a port is all of its ports": Case(
        policies="data: {podSelector: {}, ingress: [{ports: [{protocol: UDP}]}]}",
        passes=("web-0 > redis-0 UDP/81", "web-0 > redis-0 UDP/8080"),
        refused=("web-0 > redis-0 TCP/81",),
    ),
    "an SCTP rule isolates TCP and UDP": Case(
        policies="data: {podSelector: {}, ingress: [{ports: [{protocol: SCTP, port: 81}]}]}",
        refused=("web-0 > redis-0 TCP/81", "web-0 > redis-0 UDP/81"),
    ),
    "endPort is included": Case(
        policies="data: {podSelector: {}, ingress: [{ports: [{port: 82, endPort: 3000}]}]}",
        passes=("web-0 > redis-0 TCP/3000",),
        refused=("web-0 > redis-0 TCP/81", "web-0 > redis-0 TCP/8080"),
    ),
    "a named port is each destination's own": Case(
        policies="shop: {podSelector: {}, ingress: [{ports: [{port: http}]}]}",
        passes=("redis-0 > web-0 TCP/8080", "redis-0 > api-0 TCP/3000", "partner > node-a TCP/81"),
        refused=("redis-0 > web-0 TCP/3000", "redis-0 > api-0 TCP/8080", "redis-0 > web-0 UDP/8080"),
    ),
    "a named port of egress, and never of an address": Case(
        policies="""monitoring: {podSelector: {}, policyTypes: [Egress], egress: [
          {ports: [{port: http}]}, {to: [{ipBlock: {cidr: 10.244.1.21/32}}], ports: [{port: redis}]}]}""",
        passes=(
            "prometheus-0 > web-0 TCP/8080",
            "prometheus-0 > api-1 TCP/3000",
            "prometheus-0 > web-0 TCP/8080 over 6",
        ),
        refused=("prometheus-0 > api-1 TCP/8080", "prometheus-0 > partner TCP/8080", "prometheus-0 > redis-0 TCP/81"),
    ),
    "a rule needs peers and ports": Case(
        policies=f"data: {{podSelector: {{}}, ingress: [{{from: [{{{_SHOP}}}], ports: [{{port: 81}}]}}]}}",
        passes=("web-0 > redis-0 TCP/81",),
        refused=("web-0 > redis-0 TCP/8080", "prometheus-0 > redis-0 TCP/81"),
    ),
    "policies add up, and both ends have their say": Case(
        policies=f"""data: {{podSelector: {{}}, ingress: [{{ports: [{{port: 81}}]}}]}}
---
data: {{podSelector: {{}}, ingress: [{{from: [{{{_SHOP}}}], ports: [{{port: 8080}}]}}]}}
---
shop: {{{_WEB}, policyTypes: [Egress], egress: [{{ports: [{{port: 8080}}]}}]}}""",
        passes=("web-0 > redis-0 TCP/8080", "api-0 > redis-0 TCP/81", "prometheus-0 > redis-0 TCP/81"),
        refused=("web-0 > redis-0 TCP/81", "prometheus-0 > redis-0 TCP/8080"),
    ),
    "a node and its own pods always; another node is an address": Case(
        policies="data: {podSelector: {}, policyTypes: [Ingress, Egress]}",
        passes=("node-a > redis-0 TCP/81", "node-b > postgres-0 UDP/81", "redis-0 > node-a TCP/81"),
        refused=("node-b > redis-0 TCP/81", "redis-0 > node-b TCP/81"),
    ),
    "a policy of another namespace is none": Case(
        policies="monitoring: {podSelector: {}, policyTypes: [Ingress, Egress]}", passes=("web-0 > redis-0 TCP/81",)
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_kernel_decides_as_the_api_says(ground: Ground, name: str) -> None:
    case = CASES[name]
    ground.enforce(case.read())
    verdicts = {probe: ground.passes(probe) for probe in (*case.passes, *case.refused)}
    assert verdicts == dict.fromkeys(case.passes, True) | dict.fromkeys(case.refused, False)
