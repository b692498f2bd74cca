"""Policies with the places where they were written, for the commands that point at them."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from netpol.cli.observe import note, paths_of
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netpol.review.findings import Finding, Written


def read_written(words: Sequence[str]) -> tuple[Written, ...]:
    """All NetworkPolicies in the files and folders; other kinds are passed over and counted on stderr.

    Raises:
        InputError: A file cannot be read, a policy is invalid, or there is none.
    """
    from netpol.cluster.documents import read_documents
    from netpol.dialects.read import read_policies
    from netpol.review.findings import Written

    documents = list(read_documents(paths_of(words)))
    found = read_policies(documents)
    if found.passed_over:
        kinds = ", ".join(f"{count} {kind}" for kind, count in found.passed_over.items())
        note(f"passed over, since they are no NetworkPolicy: {kinds}")
    if not found.policies:
        raise InputError("holds no NetworkPolicy", where=tuple(words[:1]), remedy="Name files with policies")
    contents = {document.place: document.data for document in documents}
    return tuple(
        Written(policy=policy, place=place, data=contents[place])
        for policy, place in zip(found.policies, found.places, strict=True)
    )


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
