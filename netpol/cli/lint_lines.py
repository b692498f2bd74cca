"""The lines of the files that findings are about."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.review.findings import Finding


def locate(findings: Iterable[Finding]) -> dict[int, int]:
    """The line of each finding, by its position; left out where it is not known, as for standard input."""
    from netpol.review.lines import lines_of, spot

    by_file: defaultdict[str, list[tuple[int, tuple[int, tuple[str | int, ...]]]]] = defaultdict(list)
    for number, finding in enumerate(findings):
        found = spot(finding.place, finding.field)
        if found is not None:
            by_file[finding.file].append((number, found))
    lines: dict[int, int] = {}
    for file, spots in by_file.items():
        try:
            # A pipe has been read already.
            content = Path(file).read_bytes() if Path(file).is_file() else b""
        except OSError:
            continue
        known = lines_of(content, (found for _, found in spots))
        lines |= {number: known[found] for number, found in spots if found in known}
    return lines
