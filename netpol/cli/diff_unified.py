"""How the policies' YAML differs once both sides are written in one form."""

from __future__ import annotations

from difflib import unified_diff as lines_of_diff
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.model.tiers import Policy


def unified_diff(old: Iterable[Policy], new: Iterable[Policy]) -> str:
    """A diff that `patch` reads, a file for each policy that differs; empty where none does.

    Order of documents and fields, comments and spelling are gone, so that every line is a change of content.
    """
    return unified_texts(_texts(old), _texts(new))


def unified_texts(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """The same of files, by path."""
    pieces: list[str] = []
    for name in sorted(before.keys() | after.keys(), key=lambda path: path.removesuffix(".yaml")):
        pieces += lines_of_diff(
            before.get(name, "").splitlines(keepends=True),
            after.get(name, "").splitlines(keepends=True),
            f"old/{name}" if name in before else "/dev/null",
            f"new/{name}" if name in after else "/dev/null",
        )
    return "".join(pieces)


def _texts(policies: Iterable[Policy]) -> dict[str, str]:
    from netpol.dialects.kubernetes import to_yaml
    from netpol.dialects.kubernetes_tiers import tier_yaml
    from netpol.model.tiers import TierPolicy

    return {
        f"{policy}.yaml": tier_yaml(policy) if isinstance(policy, TierPolicy) else to_yaml([policy])
        for policy in policies
    }
