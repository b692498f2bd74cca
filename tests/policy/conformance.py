"""The conformance suite of network-policy-api as data: its manifests, and the connections that it tries.

The suite is Go that a cluster is needed for; what it does is always the same few things: fetch a pod, change a policy,
open a connection and expect an outcome. Those statements are read here, in the order in which they stand.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Manifest = dict[str, Any]

PORTS = (36001, 36002, 36003, 36004, 36005, 36006, 36007, 36008)
"""`HostNetworkPorts`, which the suite takes from its command line."""

_TEST = re.compile(r"^var (\w+) = suite\.ConformanceTest\{(.*?)^\}", re.DOTALL | re.MULTILINE)
_STATEMENTS = {
    "pod": r'(\w+) :?= kubernetes\.GetPod\(t, s\.Client, "([^"]+)", "([^"]+)"',
    "object": r'Client\.Get\(ctx, client\.ObjectKey\{\s*Namespace:\s*"([^"]+)",\s*Name:\s*"([^"]+)",\s*\}, (\w+)\)',
    "policy": r'Client\.Get\(ctx, client\.ObjectKey\{\s*Name:\s*"([^"]+)",\s*\}, \w+\)',
    "cnp": r'kubernetes\.GetClusterNetworkPolicy\(t, s\.Client, "([^"]+)"',
    "keep": r"(\w+) := mutate(?:\.DeepCopy\(\))?\.Spec\.(\w+)\[(\d+)\]",
    "swap": r"mutate\.Spec\.(\w+)\[(\d+)\] = mutate\.Spec\.\w+\[(\d+)\]",
    "put": r"mutate\.Spec\.(\w+)\[(\d+)\] = (\w+)\n",
    "action": r"mutate\.Spec\.(\w+)\[(\d+)\]\.Action = \w+\.\w*RuleAction(\w+)",
    "priority": r"mutate\.Spec\.Priority = (\d+)",
    "word": r'(\w+) := "([\w-]+)"\n',
    "named": r"(\w+)\.(Protocols|Ports) = [^;]*?(?:Destination)?NamedPort: &?(\w+),",
    "networks": r"CIDR\((\w+)\.Status\.PodIP \+ mask\)",
    "prepend": r"mutate\.Spec\.Egress = append\(newRule",
    "delete": r"Client\.Delete\(ctx, (\w+)\)",
    "poke": r'PokeServer\(t, s\.ClientSet, &s\.KubeConfig, "([^"]+)", "([^"]+)", "(\w+)",\s*(\w+)\.Status\.PodIP, '
    r"int32\(([^)]+)\), s\.TimeoutConfig(?:\.RequestTimeout)?, (true|false)\)",
}
_STATEMENT = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _STATEMENTS.items()))
_CHANGE = re.compile(r"mutate\.Spec[^\n]*[^:=]= ")


@dataclass(frozen=True, kw_only=True)
class Poke:
    """One connection that the suite opens.

    Attributes:
        policies: As they are at that moment.
        source: Namespace and name of the pod.
        destination: The same.
    """

    test: str
    policies: list[Manifest]
    source: tuple[str, str]
    destination: tuple[str, str]
    protocol: str
    port: int
    allowed: bool


@dataclass
class _Run:
    """What a test has fetched and changed so far."""

    test: str
    policies: list[Manifest]
    address: Callable[[tuple[str, str]], str]
    names: dict[str, Any] = field(default_factory=dict)
    networks: list[str] = field(default_factory=list)
    current: Manifest = field(default_factory=dict)

    def rules(self, way: str) -> list[Manifest]:
        found: list[Manifest] = self.current["spec"][way.lower()]
        return found

    def step(self, kind: str, words: tuple[str, ...]) -> Iterator[Poke]:
        """Does one statement."""
        if kind == "pod":
            self.names[words[0]] = (words[1], words[2])
        elif kind == "object":
            self.names[words[2]] = (words[0], words[1])
        elif kind in {"policy", "cnp"}:
            (self.current,) = (item for item in self.policies if item["metadata"]["name"] == words[0])
        elif kind == "delete":
            gone = self.names[words[0]][1]
            self.policies = [item for item in self.policies if item["metadata"]["name"] != gone]
        elif kind == "poke":
            source, protocol, server, port, allowed = words[:2], words[2], words[3], words[4], words[5]
            index = re.fullmatch(r"s\.HostNetworkPorts\[(\d)\]", port)
            yield Poke(
                test=self.test,
                policies=copy.deepcopy(self.policies),
                source=(source[0], source[1]),
                destination=self.names[server],
                protocol=protocol.upper(),
                port=PORTS[int(index[1])] if index else int(port),
                allowed=allowed == "true",
            )
        else:
            self.change(kind, words)

    def change(self, kind: str, words: tuple[str, ...]) -> None:
        """Changes the policy that was fetched last."""
        if kind == "keep":
            self.names[words[0]] = copy.deepcopy(self.rules(words[1])[int(words[2])])
        elif kind == "swap":
            self.rules(words[0])[int(words[1])] = copy.deepcopy(self.rules(words[0])[int(words[2])])
        elif kind == "put":
            self.rules(words[0])[int(words[1])] = self.names[words[2]]
        elif kind == "action":
            self.rules(words[0])[int(words[1])]["action"] = words[2]
        elif kind == "priority":
            self.current["spec"]["priority"] = int(words[0])
        elif kind == "word":
            self.names[words[0]] = words[1]
        elif kind == "named":
            field_name = "destinationNamedPort" if words[1] == "Protocols" else "namedPort"
            self.names[words[0]][words[1].lower()] = [{field_name: self.names[words[2]]}]
        elif kind == "networks":
            self.networks.append(f"{self.address(self.names[words[0]])}/32")
        elif kind == "prepend":
            word = "Accept" if self.current["kind"] == "ClusterNetworkPolicy" else "Allow"
            self.rules("egress").insert(0, {"action": word, "to": [{"networks": self.networks}]})


def manifests(path: Path) -> list[Manifest]:
    """The documents of a file, its template filled in."""
    text = re.sub(
        r"\{\{ index \.HostNetworkPorts (\d) \}\}", lambda found: str(PORTS[int(found[1])]), path.read_text("utf-8")
    )
    return [item for item in yaml.safe_load_all(text) if item]


def pokes(suite: Path, address: Callable[[tuple[str, str]], str]) -> Iterator[Poke]:
    """All connections that the suite tries.

    Args:
        suite: The folder `conformance` of the module.
        address: That of a pod, by namespace and name.
    """
    for file in sorted((suite / "tests").glob("*.go")):
        for test in _TEST.finditer(file.read_text("utf-8")):
            body = re.sub(r"//[^\n]*", "", test[2])
            paths = re.findall(r'"(base/[^"]+)"', body)
            run = _Run(test[1], [item for path in paths for item in manifests(suite / path)], address)
            changes = 0
            for found in _STATEMENT.finditer(body):
                kind = str(found.lastgroup) if found.lastgroup in _STATEMENTS else _kind(found)
                words = tuple(word for word in found.groups() if word is not None and word != found[0])
                changes += kind in {"swap", "put", "action", "priority", "prepend"}
                yield from run.step(kind, words)
            assert changes == len(_CHANGE.findall(body)), f"a change in {test[1]} was not understood"


def _kind(found: re.Match[str]) -> str:
    return next(name for name in _STATEMENTS if found[name] is not None)
