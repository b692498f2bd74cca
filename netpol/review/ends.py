"""The ends of a question, as people write them: pods, workloads and addresses."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from netpol.errors import UsageError
from netpol.model.flow import SCTP, TCP, UDP, protocol_name
from netpol.model.labels import is_port_name
from netpol.model.ports import FIRST_PORT, LAST_PORT
from netpol.model.text import shown
from netpol.policy.classes_pods import is_representative, present_pods
from netpol.review.scene import listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.model.flow import Address
    from netpol.model.inventory import Inventory, Pod, Service

_END: Final = re.compile(r"([^/\[\]]+)/([^/\[\]]+)(?:\[([^/\[\]]+)\])?")
_PORT: Final = re.compile(r"(?:([A-Za-z]+)/)?([^/]+)")
_PROTOCOLS: Final = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP}
_POD: Final = "Pod"
_NEAR, _CHOICES, _LONGEST = 3, 8, 320


@dataclass(frozen=True, slots=True, kw_only=True)
class EndAsked:
    """One end of the question.

    Attributes:
        text: As every output names it: `ns/name[Kind]` or an address.
        pods: Its pods, by name; empty for an address that no pod has.
        address: The address that was given, None for names.
        note: What should be known about it, empty for nothing.
    """

    text: str
    pods: tuple[Pod, ...] = ()
    address: Address | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortAsked:
    """The port of the question: a number, or a name that the destination resolves."""

    protocol: int
    port: int | str

    def __str__(self) -> str:
        return f"{protocol_name(self.protocol)}/{self.port}"


def parse_port(text: str) -> PortAsked:
    """`8080` and `http` (TCP), `UDP/53`, `TCP/http`.

    Raises:
        UsageError: Anything else.
    """
    match = _PORT.fullmatch(text)
    protocol = _PROTOCOLS.get((match[1] or "TCP").upper()) if match else None
    if match is not None and protocol is not None:
        word = match[2]
        if word.isascii() and word.isdecimal():
            number = int(word) if len(word) <= len(str(LAST_PORT)) else LAST_PORT + 1
            if FIRST_PORT <= number <= LAST_PORT:
                return PortAsked(protocol=protocol, port=number)
        elif is_port_name(word):
            return PortAsked(protocol=protocol, port=word)
    raise UsageError(
        f"{shown(text)} is not a port",
        remedy=f"Write 8080 for TCP, UDP/53, SCTP/3868 or TCP/http; numbers go from {FIRST_PORT} to {LAST_PORT}",
    )


class Ends:
    """Finds ends in a cluster as it is now."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._workloads: defaultdict[tuple[str, str], dict[str, list[Pod]]] = defaultdict(lambda: defaultdict(list))
        self._pods: dict[tuple[str, str], Pod] = {}
        present = present_pods(inventory)
        for pod in present:
            ref = pod.workload
            self._workloads[ref.namespace, ref.name][ref.kind].append(pod)
            if not is_representative(pod):
                self._pods[pod.namespace, pod.name] = pod
        self._over = {(pod.namespace, pod.name): pod for pod in inventory.pods if pod.finished or pod.ended is not None}

    def find(self, text: str) -> EndAsked:
        """The end that a text names.

        Raises:
            UsageError: No such end, or more than one.
        """
        try:
            address = ip_address(text)
        except ValueError:
            return self._named(text)
        return self._at(address)

    def _at(self, address: Address) -> EndAsked:
        for service in self._inventory.services:
            if address in service.addresses and service.ended is None:
                raise UsageError(
                    f"{address} is the virtual address of Service {service.namespace}/{service.name}",
                    remedy=self._behind(service),
                )
        holders = [pod for pod in self._pods.values() if address in pod.addresses and not pod.host_network]
        if len(holders) > 1:
            raise _ambiguous(str(address), (f"{pod.namespace}/{pod.name}[{_POD}]" for pod in holders))
        return EndAsked(text=str(address), pods=tuple(holders), address=address)

    def _behind(self, service: Service) -> str:
        """What to ask instead: a policy judges what comes after the address was replaced."""
        targets = sorted({f"{protocol_name(port.protocol)}/{port.target}" for port in service.ports})
        ports = f", with the port there ({listed(targets)})" if targets else ""
        if service.selector is None:
            addresses = [str(endpoint.address) for endpoint in service.endpoints]
            return (
                f"Ask about an endpoint of it: {listed(addresses)}{ports}" if addresses else "Ask about its endpoints"
            )
        labels = service.selector.items()
        workloads = {
            str(pod.workload)
            for pod in self._pods.values()
            if pod.namespace == service.namespace and labels and labels <= pod.labels.items()
        }
        whom = f": {listed(sorted(workloads))}" if workloads else ""
        return f"Ask about the pods behind it{whom}{ports}"

    def _named(self, text: str) -> EndAsked:
        match = _END.fullmatch(text)
        if match is None:
            raise UsageError(
                f"{shown(text)} is not an end",
                remedy="Write namespace/name for a pod or a workload, namespace/name[Kind], or an address",
            )
        namespace, name, kind = match[1], match[2], match[3]
        pod = self._pods.get((namespace, name))
        found = {
            f"{namespace}/{name}[{of}]": pods
            for of, pods in self._workloads.get((namespace, name), {}).items()
            if kind in {None, of}
        }
        if pod is not None and kind in {None, _POD}:
            found[f"{namespace}/{name}[{_POD}]"] = [pod]
        if len(found) > 1:
            raise _ambiguous(text, found)
        if found:
            ((label, pods),) = found.items()
            return EndAsked(text=label, pods=tuple(pods), note=_about(pods))
        over = self._over.get((namespace, name)) if kind in {None, _POD} else None
        if over is not None:
            return EndAsked(text=f"{namespace}/{name}[{_POD}]", pods=(over,), note="is gone: judged as it was")
        raise self._unknown(text, namespace, name)

    def _unknown(self, text: str, namespace: str, name: str) -> UsageError:
        known = {
            (where, what): [f"{where}/{what}[{kind}]" for kind in kinds]
            for (where, what), kinds in self._workloads.items()
        }
        here = [what for where, what in known if where == namespace]
        alike = {(namespace, what) for what in get_close_matches(name[:_LONGEST], here, n=_NEAR)}
        alike |= {place for place in known if place[1] == name}
        if not alike:
            words = {f"{where}/{what}": (where, what) for where, what in known}
            alike = {words[word] for word in get_close_matches(f"{namespace}/{name}"[:_LONGEST], words, n=_NEAR)}
        remedy = "Write namespace/name as `kubectl get pods -A` shows them"
        if alike:
            near = sorted(label for place in alike for label in known[place])
            remedy = f"Near it there are {', '.join(near[:_CHOICES])}"
        return UsageError(f"the cluster has no pod and no workload {shown(text)}", remedy=remedy)


def _about(pods: list[Pod]) -> str:
    return "has no pods: judged by its template, without addresses" if is_representative(pods[0]) else ""


def _ambiguous(text: str, choices: Iterable[str]) -> UsageError:
    names = sorted(choices)
    more = f" and {len(names) - _CHOICES} more" if len(names) > _CHOICES else ""
    return UsageError(f"{shown(text)} is more than one thing", remedy=f"Say which: {', '.join(names[:_CHOICES])}{more}")
