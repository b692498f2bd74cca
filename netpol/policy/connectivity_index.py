"""Which classes of pods a policy or a peer selects, without asking about every class.

A selector with `key=value` can only match pods that carry it: an index by namespace and label gives those, and
`matching` decides about each. What is left is remembered per distinct peer.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from netpol.model.policy import BlockPeer
from netpol.policy import matching
from netpol.policy.atoms_addresses import bits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from netpol.model.inventory import Inventory, Pod
    from netpol.model.labels import LabelSelector
    from netpol.model.policy import NetworkPolicy, Peer, PodPeer
    from netpol.policy.atoms_addresses import Block
    from netpol.policy.classes import Kind

_Key = tuple[str | None, str, str]
"""(namespace, or None for all of them, label key, label value)."""


class SelectorIndex:
    """Looks up the classes of one side.

    Args:
        kinds: What the side sees of each class, pods and addresses alike.
        blocks: The ipBlocks that the kinds' bits speak of.
        inventory: For the labels of namespaces.
    """

    def __init__(self, kinds: Sequence[Kind], blocks: Iterable[Block], inventory: Inventory) -> None:
        self._pods: dict[int, Pod] = {}
        self._in_namespace: defaultdict[str, list[int]] = defaultdict(list)
        self._labelled: defaultdict[_Key, list[int]] = defaultdict(list)
        inside: defaultdict[int, list[int]] = defaultdict(list)
        for number, kind in enumerate(kinds):
            if kind.blocks:
                inside[kind.blocks].append(number)
            if kind.example is not None:
                self._add(number, kind.example)
        self._in_block = _by_block(inside, list(blocks))
        self._namespace_labels: Mapping[str, Mapping[str, str]] = {
            name: matching.namespace_labels(inventory, name) for name in self._in_namespace
        }
        self._namespaces: dict[LabelSelector, list[str]] = {}
        self._known: dict[tuple[str, Peer], NDArray[np.intp]] = {}

    def _add(self, number: int, pod: Pod) -> None:
        self._pods[number] = pod
        self._in_namespace[pod.namespace].append(number)
        for key, value in pod.labels.items():
            self._labelled[pod.namespace, key, value].append(number)
            self._labelled[None, key, value].append(number)

    def selected(self, policy: NetworkPolicy) -> list[int]:
        """The classes that the policy is for."""
        return [
            number
            for number in self._candidates(policy.namespace, policy.pod_selector)
            if matching.selects(policy, self._pods[number])
        ]

    def peers(self, policy_namespace: str, peers: tuple[Peer, ...]) -> NDArray[np.intp]:
        """The classes, of pods and of addresses, that any of the peers of a policy in this namespace means."""
        found = [self._peer(policy_namespace, peer) for peer in peers]
        return found[0] if len(found) == 1 else np.unique(np.concatenate(found))

    def in_area(self, block: Block) -> NDArray[np.intp]:
        """The classes, of pods and of addresses, in a block."""
        return self._in_block.get(block, np.empty(0, np.intp))

    def _peer(self, policy_namespace: str, peer: Peer) -> NDArray[np.intp]:
        if isinstance(peer, BlockPeer):
            return self.in_area(peer.block)
        # Peers that look in other namespaces too mean the same whatever the policy's own.
        key = (policy_namespace if peer.namespace_selector is None else "", peer)
        found = self._known.get(key)
        if found is None:
            chosen = sorted(self._selected_by(policy_namespace, peer))
            found = self._known[key] = np.array(chosen, np.intp)
        return found

    def _selected_by(self, policy_namespace: str, peer: PodPeer) -> list[int]:
        return [
            number
            for number in self._peer_candidates(policy_namespace, peer)
            if matching.peer_selects(
                peer,
                policy_namespace,
                self._pods[number],
                self._namespace_labels[self._pods[number].namespace],
            )
        ]

    def _peer_candidates(self, policy_namespace: str, peer: PodPeer) -> Iterable[int]:
        if peer.namespace_selector is None:
            return self._candidates(policy_namespace, peer.pod_selector)
        namespaces = self._matching_namespaces(peer.namespace_selector)
        if len(namespaces) > 1 and peer.pod_selector is not None and peer.pod_selector.match_labels:
            return self._candidates(None, peer.pod_selector)
        return [number for name in namespaces for number in self._candidates(name, peer.pod_selector)]

    def _candidates(self, namespace: str | None, selector: LabelSelector | None) -> Sequence[int]:
        """The classes of a namespace (None: of all) that carry the rarest label that the selector demands."""
        if selector is not None and selector.match_labels:
            found = [self._labelled.get((namespace, key, value), ()) for key, value in selector.match_labels.items()]
            return min(found, key=len)
        return list(self._pods) if namespace is None else self._in_namespace.get(namespace, ())

    def _matching_namespaces(self, selector: LabelSelector) -> list[str]:
        found = self._namespaces.get(selector)
        if found is None:
            labels = self._namespace_labels
            found = self._namespaces[selector] = [name for name in labels if selector.matches(labels[name])]
        return found


def _by_block(inside: Mapping[int, list[int]], blocks: list[Block]) -> dict[Block, NDArray[np.intp]]:
    """The classes in each block."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    for mask, numbers in inside.items():
        for position in bits(mask):
            found[position] += numbers
    return {blocks[position]: np.array(sorted(numbers), np.intp) for position, numbers in found.items()}
