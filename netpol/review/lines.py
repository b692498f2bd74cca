"""The line of a manifest on which a field stands.

Parsed documents do not remember lines; only findings need them. So the files that have findings are gone through once
more, event by event, along the paths that are asked for and nothing else. JSON is YAML for this purpose.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.review.findings import FieldPath

Spot = tuple[int, "FieldPath"]
"""A document's number in its file, from 1, and a path from the document's root, the items of lists included."""

_DOCUMENT: Final = re.compile(r"document ([0-9]+)")
_ITEM: Final = re.compile(r"items\[([0-9]+)\]")

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def spot(place: tuple[str, ...], field: FieldPath) -> Spot | None:
    """Where to look in the file that a place begins with; None where the place does not say which document."""
    number = _DOCUMENT.fullmatch(place[1]) if len(place) > 1 else None
    if number is None:
        return None
    path: list[str | int] = []
    for part in place[2:]:
        item = _ITEM.fullmatch(part)
        if item is None:
            return None
        path += ["items", int(item[1])]
    return int(number[1]), (*path, *field)


def lines_of(content: bytes, spots: Iterable[Spot]) -> dict[Spot, int]:
    """The line, from 1, of each spot.

    A key's line is where the key stands, an item's where the item begins. Of a field that is not there (it came by
    default, an alias or a merge key) the line is that of the closest field around it. Spots in what cannot be parsed
    are left out.
    """
    wanted = tuple(spots)
    walk = _Walk(wanted)
    try:
        walk.through(content)
    except yaml.YAMLError:
        # What came before the fault is known; the reader of manifests says what is wrong with the rest.
        pass
    except UnicodeDecodeError:
        return {}
    return {one: line for one in wanted if (line := walk.line(one))}


class _Walk:
    """One pass over the events of a file, with the trie of what is wanted beside the stack of what is open."""

    def __init__(self, spots: Iterable[Spot]) -> None:
        self._wanted: dict[int, dict[str | int, Any]] = {}
        for number, path in spots:
            node = self._wanted.setdefault(number, {})
            for part in path:
                node = node.setdefault(part, {})
        self._lines: dict[int, dict[FieldPath, int]] = {}

    def line(self, one: Spot) -> int:
        """The line of a spot or of the closest field around it, 0 where the document was not met."""
        number, path = one
        lines = self._lines.get(number, {})
        return next((lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines), 0)

    def through(self, content: bytes) -> None:
        loader = _Loader(content)
        document = 0
        try:
            while document <= max(self._wanted, default=0):
                event = loader.get_event()
                if isinstance(event, yaml.StreamEndEvent):
                    return
                if isinstance(event, yaml.DocumentStartEvent):
                    document += 1
                    found = self._lines.setdefault(document, {}) if document in self._wanted else {}
                    _document(loader, self._wanted.get(document), found)
        finally:
            loader.dispose()


class _Open:
    """A mapping or list whose end has not come.

    Attributes:
        wanted: What is asked for below it, None for nothing.
        key: Of a mapping, the key whose value is next, None where a key is; of a list, the index of the next item.
    """

    __slots__ = ("is_list", "key", "path", "wanted")

    def __init__(self, path: FieldPath, wanted: Mapping[str | int, Any] | None, *, is_list: bool) -> None:
        self.path = path
        self.wanted = wanted
        self.is_list = is_list
        self.key: str | int | None = 0 if is_list else None


def _document(loader: Any, wanted: Mapping[str | int, Any] | None, found: dict[FieldPath, int]) -> None:
    """Goes to the end of a document and notes the lines of the paths that are wanted."""
    stack: list[_Open] = []
    while True:
        event = loader.get_event()
        if isinstance(event, yaml.DocumentEndEvent):
            return
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            stack.pop()
            continue
        line = event.start_mark.line + 1
        path, below = _enter(event, stack, wanted, line, found)
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            stack.append(_Open(path, below, is_list=isinstance(event, yaml.SequenceStartEvent)))


def _enter(
    event: Any, stack: list[_Open], wanted: Mapping[str | int, Any] | None, line: int, found: dict[FieldPath, int]
) -> tuple[FieldPath, Mapping[str | int, Any] | None]:
    """The path of the value that begins here, and what is wanted below it; a key has none."""
    if not stack:
        if wanted is not None:
            found[()] = line
        return (), wanted
    parent = stack[-1]
    if parent.key is None:
        # A key that is no scalar is refused by the reader of manifests.
        parent.key = event.value if isinstance(event, yaml.ScalarEvent) else ""
        if parent.wanted is not None and parent.key in parent.wanted:
            found[*parent.path, parent.key] = line
        return (), None
    key = parent.key
    parent.key = key + 1 if isinstance(key, int) else None
    below = parent.wanted.get(key) if parent.wanted is not None else None
    if below is None:
        return (), None
    path = (*parent.path, key)
    found.setdefault(path, line)
    return path, below
