"""CSV feeds: which columns hold what is listed, and their values."""

from __future__ import annotations

import csv
import re
from itertools import islice
from typing import TYPE_CHECKING, Final

from netpol.errors import InputError
from netpol.threats.lines import COMMENTS, without_comment
from netpol.threats.values import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from netpol.threats.values import Entries

COLUMNS: Final = frozenset(
    {
        *("ip", "ip_address", "ipaddress", "ipv4", "ipv6", "address", "addr", "src_ip", "srcip", "source_ip"),
        *("dst_ip", "dstip", "dest_ip", "destination_ip", "cidr", "network", "netblock", "subnet", "prefix", "range"),
        *("domain", "domain_name", "hostname", "host", "fqdn", "dns"),
        *("indicator", "indicator_value", "ioc", "ioc_value", "observable", "value"),
    }
)
"""Headings, in lower case with underscores, of columns of what is listed; others may name those who report it."""

DELIMITERS: Final = ",;\t|"
_LOOKED_AT: Final = 50


def has_headings(line: str) -> bool:
    """Whether a line names columns of what is listed."""
    return any(_headings(line, delimiter) for delimiter in DELIMITERS)


def delimiter_of(heading: str | None, line: str) -> str | None:
    """What divides the columns of a table's first line, None where it is no table.

    Args:
        heading: The last comment before it, where many feeds have their headings.
        line: The first line that is no comment.
    """
    if _headings(line, ","):
        return ","
    for delimiter in DELIMITERS:
        # A comma in a remark behind an entry divides nothing.
        parts = len(_cells(without_comment(line) if delimiter == "," else line, delimiter))
        if parts > 1 and (delimiter == "," or _headings(line, delimiter) or _headings(heading or "", delimiter)):
            return delimiter
    return None


def read_table(heading: str | None, delimiter: str, lines: Iterable[tuple[int, str]], entries: Entries) -> None:
    """Reads a table: the columns that its headings name, or the only one that holds nothing but entries.

    Each line is a record of its own. An address may have a port behind it.

    Raises:
        InputError: Nothing says which column is meant.
    """
    rows = ((number, line, _cells(line, delimiter)) for number, line in lines if not line.startswith(COMMENTS))
    first = list(islice(rows, _LOOKED_AT))
    chosen = _headings(heading or "", delimiter)
    if first and (found := _headings(first[0][1], delimiter)) and not _value(first[0][2][found[0]]):
        chosen = found
        del first[0]
    if not chosen:
        chosen = _column_of_values([cells for _, _, cells in first])
    for number, line, cells in _chain(first, rows):
        values = [cells[index] for index in chosen if index < len(cells) and cells[index]]
        if not values or not [value for value in values if _take(value, number, entries)]:
            if any("://" in value for value in values):
                entries.pass_over("URLs, of which only a path may be meant")
            elif any(re.fullmatch(r"[0-9a-fA-F]{32,128}", value) for value in values):
                entries.pass_over("digests of files")
            else:
                entries.refuse(line, number)


def _chain(
    first: list[tuple[int, str, list[str]]], rest: Iterator[tuple[int, str, list[str]]]
) -> Iterator[tuple[int, str, list[str]]]:
    yield from first
    yield from rest


def _take(text: str, number: int, entries: Entries) -> bool:
    return entries.take(_value(text), number)


def _value(text: str) -> str:
    """The text as an entry, empty where it is none."""
    return text if parse(text) is not None else ""


def _headings(line: str, delimiter: str) -> list[int]:
    cells = _cells(line.lstrip("#;!/ "), delimiter)
    names = [cell.strip("\"' ").lower().replace(" ", "_").replace("-", "_") for cell in cells]
    # One heading alone is a word, and may be a comment's.
    return [index for index, name in enumerate(names) if name in COLUMNS] if len(names) > 1 else []


def _column_of_values(rows: Sequence[list[str]]) -> list[int]:
    width = min(map(len, rows), default=0)
    found = [index for index in range(width) if all(_value(cells[index]) for cells in rows)]
    if len(found) != 1:
        what = "no column" if not found else f"{len(found)} columns, not one,"
        raise InputError(
            f"a table of which {what} holds nothing but addresses and names",
            remedy="Put a line with headings before it: ip, cidr, domain or indicator names the column that is meant",
        )
    return found


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]
    except csv.Error:
        return []
