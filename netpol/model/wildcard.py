"""Patterns that stand for names nobody has seen yet: of one label below a parent, or of any number of labels."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netpol.model.host_name import HostName


class Depth(Enum):
    """How many labels the star may stand for. Consumers differ in what their own `*` means: each must translate."""

    ONE = "one"
    """Exactly one: a certificate's `*.x` (RFC 9525, 6.3), Cilium's `*.x`."""
    ANY = "any"
    """One or more: Cilium's `**.x`, Calico's `*.x`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wildcard:
    """All names below `parent`, itself not among them.

    Attributes:
        parent: Below a public suffix, never one itself.
    """

    parent: HostName
    depth: Depth

    def covers(self, name: HostName) -> bool:
        """Whether the pattern stands for this name."""
        head = name.removesuffix(f".{self.parent}")
        if head == name:
            return False
        return self.depth is Depth.ANY or "." not in head

    def __str__(self) -> str:
        """The own spelling of netpol: `*.x` for one label, `**.x` for any number."""
        return f"{'*' if self.depth is Depth.ONE else '**'}.{self.parent}"
