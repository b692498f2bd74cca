"""A large list in JSON, read some items at a time: what is parsed at once does not grow with the file.

`kubectl get -o json` prints one List, its kind behind its items, so it cannot be read from the front alone. msgspec
finds where each item starts and ends, ten times as fast as anything builds them. The items, and what stands around
them, are then parsed as strictly as everything else; what is refused is left to `read_json`, which knows its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from netpol.cluster.safe_json import has_too_many_values, is_deeper, read_json, strict_decoder
from netpol.cluster.safe_yaml import MAX_DEPTH
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import msgspec

_TOGETHER: Final = 256
"""Items that are parsed in one call. Each call starts with no key known: item by item would take twice the time."""
_DEEPEST: Final = MAX_DEPTH - 2
"""Levels of an item: the list and its `items` are around it."""


class JsonItems:
    """The items of a list, parsed when they are asked for.

    Args:
        content: The whole text.
        items: Where in it each item is; views into `content`.
    """

    __slots__ = ("_content", "_items")

    def __init__(self, content: bytes, items: list[msgspec.Raw]) -> None:
        self._content = content
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        """The items in order.

        Raises:
            InputError: As for `read_json`; the items before may have been given out.
        """
        decoder = strict_decoder()
        for start in range(0, len(self._items), _TOGETHER):
            texts = [bytes(item) for item in self._items[start : start + _TOGETHER]]
            try:
                values = decoder.decode((b"[%b]" % b",".join(texts)).decode())
            except (ValueError, RecursionError, InputError):
                raise self._refused() from None
            for text, value in zip(texts, values, strict=True):
                # Few have as many brackets as levels are allowed.
                if text.count(b"{") + text.count(b"[") > _DEEPEST and is_deeper(value, _DEEPEST):
                    raise self._refused()
                yield value

    def _refused(self) -> InputError:
        try:
            list(read_json(self._content))
        except InputError as error:
            return error
        raise AssertionError("what is refused in parts is refused as a whole")


def read_json_list(content: bytes) -> dict[str, Any] | None:
    """The one list that a JSON text is, its `items` as JsonItems; None for every other text, valid or not.

    Args:
        content: UTF-8 without a byte order mark.
    """
    import msgspec  # noqa: PLC0415 - only a large file is worth its start-up

    if has_too_many_values(content):
        return None
    try:
        array = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get("items", msgspec.Raw(b""))
        items = msgspec.json.decode(array, type=list[msgspec.Raw])
        start = content.find(array)
        (head,) = read_json(b"%b[]%b" % (content[:start], content[start + memoryview(array).nbytes :]))
    except (msgspec.DecodeError, RecursionError, InputError, ValueError):
        return None
    kind = head.get("kind")
    # Where the same array stands twice in the text, the one that was cut out may not be the items.
    if head.get("items") != [] or not isinstance(kind, str) or not kind.endswith("List"):
        return None
    return {**head, "items": JsonItems(content, items)}
