"""What `netpol flows -o json` says about a generated capture, held against what the generator knows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_KEY: Final = ("client", "server", "protocol", "port", "outcome")
_FIGURES: Final = ("connections", "packets", "bytes")


def differences(truth: Mapping[str, Any], flows: Iterable[str]) -> list[str]:
    """One line per row that is missing, too many or wrong; none when the output is right.

    Args:
        truth: What `generate.py` wrote beside the capture.
        flows: Lines of JSON.
    """
    expected = _by_key(truth["rows"])
    found = _by_key(json.loads(line) for line in flows)
    missing = [f"missing: {key} {expected[key]}" for key in expected.keys() - found.keys()]
    extra = [f"not in the truth: {key} {found[key]}" for key in found.keys() - expected.keys()]
    wrong = [
        f"wrong: {key} {dict(zip(_FIGURES, found[key], strict=True))}, true {expected[key]}"
        for key in expected.keys() & found.keys()
        if found[key] != expected[key]
    ]
    return sorted(missing) + sorted(extra) + sorted(wrong)


def _by_key(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[Any, ...], tuple[int, ...]]:
    table: dict[tuple[Any, ...], tuple[int, ...]] = {}
    for row in rows:
        key = tuple(row[field] for field in _KEY)
        if key in table:
            raise ValueError(f"two rows for {key}")
        table[key] = tuple(row[field] for field in _FIGURES)
    return table
