"""YAML as Kubernetes reads it, from sources that nobody vouches for.

Values are built straight from the parser's events, so that no node graph is held beside the result, nesting needs no
recursion, and every limit is enforced before memory is spent. The rules are those of sigs.k8s.io/yaml, which kubectl
uses: YAML 1.1 booleans (`yes`, `on`), octal `017` and `0o17`, merge keys; dates stay text and base 60 does not exist.
Stricter in two points: duplicate keys and keys that are not strings are errors, because both hide what the author
    meant.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH: Final = 100
"""Mappings and lists inside each other. Kubernetes objects stay under 30, CustomResourceDefinitions under 60."""
MAX_NODES: Final = 10_000_000
"""Keys, values and ends of containers in one file: 25,000 pods as kubectl prints them; under a gigabyte once built."""
MAX_ALIASED_NODES: Final = 100_000
"""Values that a document may gain by expanding aliases: aliases of aliases multiply ("billion laughs")."""
MAX_DOCUMENTS: Final = 100_000
"""Documents in one file."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE: Final = object()
_NO_KEY: Final = object()
_UNSEEN: Final = object()
_OPEN: Final = object()
_CACHE_LIMIT: Final = 50_000
_CACHE_TEXT: Final = 64
_MAX_DIGITS: Final = 100

_WORDS: Final[dict[str, object]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **{form: True for word in ("true", "yes", "on") for form in (word, word.title(), word.upper())},
    **{form: False for word in ("false", "no", "off") for form in (word, word.title(), word.upper())},
    **{sign + form: float(sign + "inf") for sign in ("", "+", "-") for form in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    "<<": _MERGE,
}
_NUMBER_START: Final = frozenset("0123456789+-.")
_INTEGER = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|0|[1-9][0-9_]*)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_TAG: Final = "tag:yaml.org,2002:"


def read_yaml(content: bytes) -> Iterator[Any]:
    """The documents of a YAML stream in order, an empty one as None.

    Args:
        content: UTF-8 without a byte order mark.

    Raises:
        InputError: The text is not YAML, or breaks one of the rules or limits above; `where` has the document, line and
            field.
    """
    loader = _Loader(content)
    document = 0
    nodes = 0
    try:
        while True:
            kind = type(loader.get_event())
            if kind is yaml.StreamEndEvent:
                return
            if kind is not yaml.DocumentStartEvent:
                continue
            document += 1
            builder = _Builder(loader, MAX_NODES - nodes if document <= MAX_DOCUMENTS else -1)
            value = builder.build()
            nodes += builder.nodes
            yield value
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (f"document {max(document, 1)}", *((f"line {mark.line + 1}",) if mark else ()))
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise InputError(f"not valid YAML: {what}", where=place, remedy=_remedy(content)) from None
    except yaml.YAMLError as error:
        what = getattr(error, "reason", "") or "unreadable"
        raise InputError(
            f"not valid YAML: {what}", where=(f"document {max(document, 1)}",), remedy=_remedy(content)
        ) from None
    except InputError as error:
        raise error.inside(f"document {max(document, 1)}") from None
    finally:
        loader.dispose()


def _remedy(content: bytes) -> str:
    if b"{{" in content:
        return "This looks like a template: render it first (helm template, kustomize build)"
    return "Correct the file, or leave it out"


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is still being filled; `key` is the one that waits for its value."""

    container: dict[str, Any] | list[Any]
    key: Any
    anchor: str | None
    nodes_before: int
    merges: list[Any] | None = None


class _Builder:
    """Builds one document from events."""

    __slots__ = ("_aliased", "_anchors", "_cache", "_limit", "_loader", "_stack", "nodes")

    def __init__(self, loader: Any, limit: int) -> None:
        self._loader = loader
        self._limit = limit
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._cache: dict[str, Any] = {}
        self._aliased = 0
        self.nodes = 0

    def build(self) -> Any:
        """The value of the document whose start event was just read, up to and including its end event."""
        get_event = self._loader.get_event
        stack = self._stack
        result: Any = None
        while True:
            event = get_event()
            kind = type(event)
            self.nodes += 1
            if kind is yaml.ScalarEvent:
                value = self._scalar(event)
                if event.anchor is not None:
                    self._anchors[event.anchor] = (value, 1)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._open(event, {} if kind is yaml.MappingStartEvent else [])
                continue
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                value = self._close()
            elif kind is yaml.AliasEvent:
                value = self._alias(event)
            else:  # the document's end
                return result
            if self.nodes > self._limit:
                raise self._error(
                    event, f"more than {MAX_NODES} values or {MAX_DOCUMENTS} documents in one file", "Split the file"
                )
            if stack:
                self._attach(event, stack[-1], value)
            else:
                result = None if value is _MERGE else value

    def _attach(self, event: Any, frame: _Frame, value: Any) -> None:
        container = frame.container
        if type(container) is list:
            container.append("<<" if value is _MERGE else value)
            return
        key = frame.key
        if key is _NO_KEY:
            if type(value) is not str and value is not _MERGE:
                shown = json.dumps(value) if _is_plain(value) else "that is a list or mapping"
                raise self._error(event, f"the key {shown} is not a string", "Put it in quotes")
            if value in container:
                raise self._error(event, f"the key {_quoted(value)} occurs twice", "Keep one of them")
            frame.key = value
            return
        frame.key = _NO_KEY
        if key is _MERGE:
            if frame.merges is not None:
                raise self._error(event, "the key `<<` occurs twice", "Merge a list of mappings instead")
            frame.merges = value if type(value) is list else [value]
            if not all(type(merged) is dict for merged in frame.merges):
                raise self._error(event, "`<<` merges something that is not a mapping", "Alias a mapping")
        else:
            container[key] = "<<" if value is _MERGE else value

    def _open(self, event: Any, container: dict[str, Any] | list[Any]) -> None:
        if event.tag is not None and event.tag not in {"!", _TAG + ("map" if type(container) is dict else "seq")}:
            raise self._error(event, f"the tag {_quoted(event.tag)} has no meaning in a manifest", "Remove it")
        if self._stack and type(self._stack[-1].container) is dict and self._stack[-1].key is _NO_KEY:
            raise self._error(event, "a list or mapping is used as a key", "Use a string")
        if len(self._stack) >= MAX_DEPTH:
            raise self._error(event, f"nested deeper than {MAX_DEPTH} levels", "No Kubernetes object needs that")
        if event.anchor is not None:
            self._anchors[event.anchor] = (_OPEN, 0)
        self._stack.append(_Frame(container, _NO_KEY, event.anchor, self.nodes))

    def _close(self) -> Any:
        frame = self._stack.pop()
        container = frame.container
        if frame.merges is not None and type(container) is dict:
            for merged in frame.merges:
                for key, value in merged.items():
                    container.setdefault(key, value)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (container, self.nodes - frame.nodes_before)
        return container

    def _alias(self, event: Any) -> Any:
        value, size = self._anchors.get(event.anchor, (_UNSEEN, 0))
        if value is _UNSEEN:
            raise self._error(event, f"the alias *{_quoted(event.anchor)} has no anchor", "Define it before its use")
        if value is _OPEN:
            raise self._error(event, f"the alias *{_quoted(event.anchor)} contains itself", "Write the value out")
        self._aliased += size
        self.nodes += size
        if self._aliased > MAX_ALIASED_NODES:
            raise self._error(
                event, f"aliases expand to more than {MAX_ALIASED_NODES} values", "Write the values out without anchors"
            )
        return value

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        tag = event.tag
        if tag is not None and tag != "!":
            return self._tagged(event, tag, text)
        if tag == "!" or not event.implicit[0]:
            return text
        value = self._cache.get(text, _UNSEEN)
        if value is not _UNSEEN:
            return value
        value = self._plain(event, text)
        if len(text) <= _CACHE_TEXT and len(self._cache) < _CACHE_LIMIT:
            self._cache[text] = value
        return value

    def _plain(self, event: Any, text: str) -> Any:
        word = _WORDS.get(text, _UNSEEN)
        if word is not _UNSEEN:
            return word
        if text[0] in _NUMBER_START:
            if len(text) <= _MAX_DIGITS:
                if _INTEGER.match(text):
                    return _integer(text)
                if _FLOAT.match(text):
                    return float(text)
            elif _FLOAT.match(text):
                raise self._error(event, f"a number of {len(text)} digits", "Put it in quotes if it is text")
        return text

    def _tagged(self, event: Any, tag: str, text: str) -> Any:
        if tag in {_TAG + "str", _TAG + "timestamp"}:
            return text
        if tag in {_TAG + "null", _TAG + "bool", _TAG + "int", _TAG + "float"}:
            value = self._plain(event, text)
            expected = {"null": type(None), "bool": bool, "int": int, "float": (float, int)}[tag.removeprefix(_TAG)]
            if isinstance(value, expected):  # type: ignore[arg-type]  # a tuple of types is fine
                return value
        raise self._error(event, f"the tag {_quoted(tag)} does not fit the value", "Remove the tag")

    def _error(self, event: Any, what: str, remedy: str) -> InputError:
        path = ""
        for frame in self._stack:
            if type(frame.container) is list:
                path += f"[{len(frame.container)}]"
            elif isinstance(frame.key, str):
                path += f".{frame.key}" if path else frame.key
        place = (f"line {event.start_mark.line + 1}", *((path[:200],) if path else ()))
        return InputError(what, where=place, remedy=remedy)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float))


def _quoted(text: object) -> str:
    return ascii(str(text)[:80]) if text is not _MERGE else "'<<'"


def _integer(text: str) -> int | str:
    digits = text.replace("_", "")
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-").lower()
    bases = {"0b": 2, "0x": 16, "0o": 8}
    base = bases.get(digits[:2]) or (8 if digits.startswith("0") and digits != "0" else 10)
    digits = digits[2:] if digits[:2] in bases else digits
    return sign * int(digits, base) if digits else text
