"""What a translation into another dialect takes beside the policies, and what it yields beside the documents.

Whatever a dialect says differently from a NetworkPolicy is a remark with a stable id: nothing changes silently.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netpol.dialects.block import to_text
from netpol.dialects.files import files_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.dialects.block import Document
    from netpol.model.flow import Address
    from netpol.model.outside import Need
    from netpol.policy.generate_extras import Extras


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the addresses in policies are, and what is known beyond addresses.

    Attributes:
        nodes: Each node's addresses, with its name.
        pods: Addresses of pods outside the host network, with `namespace/name`.
        api_servers: Where the Service `default/kubernetes` leads.
        extras: Per policy as `namespace/name`, what was seen that no NetworkPolicy can or need say.
        needs: Per policy as `namespace/name`, what its workloads use outside the cluster, by name where that is known.
    """

    nodes: Mapping[Address, str] = field(default_factory=dict)
    pods: Mapping[Address, str] = field(default_factory=dict)
    api_servers: frozenset[Address] = frozenset()
    extras: Mapping[str, Extras] = field(default_factory=dict)
    needs: Mapping[str, tuple[Need, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something that the dialect says differently, or cannot say.

    Attributes:
        identifier: Stable.
        policies: `namespace/name`, sorted.
        text: May quote names from the cluster: whoever prints it escapes it.
        remedy: What a person can do, empty where nothing needs doing.
    """

    identifier: str
    policies: tuple[str, ...]
    text: str
    remedy: str = ""


class Remarks:
    """Collects remarks; what is said of several policies is said once."""

    def __init__(self) -> None:
        self._found: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)

    def add(self, identifier: str, policy: object, text: str, remedy: str = "") -> None:
        """Notes a remark about one policy."""
        self._found[identifier, text, remedy].add(str(policy))

    def all(self) -> tuple[Remark, ...]:
        """The remarks, sorted."""
        return tuple(
            Remark(identifier=identifier, policies=tuple(sorted(policies)), text=text, remedy=remedy)
            for (identifier, text, remedy), policies in sorted(self._found.items())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One document.

    Attributes:
        head: A comment above it, empty for none.
    """

    namespace: str
    name: str
    document: Document
    head: str = ""

    @property
    def text(self) -> str:
        """The document as YAML."""
        return to_text(self.document, head=self.head)


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """The policies in another dialect, in the order in which they were given."""

    documents: tuple[Written, ...]
    remarks: tuple[Remark, ...]

    def to_yaml(self) -> str:
        """One stream."""
        return "---\n".join(written.text for written in self.documents)

    def to_files(self) -> dict[str, str]:
        """Relative paths to texts, `kustomization.yaml` among them."""
        return files_of((written.namespace, written.name, written.text) for written in self.documents)
