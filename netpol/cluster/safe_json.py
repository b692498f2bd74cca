"""JSON objects from sources that nobody vouches for: the standard library's parser, with what it leaves open closed."""

from __future__ import annotations

import contextlib
import gc
import json
from typing import TYPE_CHECKING, Any, NoReturn

from netpol.cluster.safe_yaml import MAX_DEPTH, MAX_DOCUMENTS, MAX_NODES
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLANK = " \t\r\n"


def read_json(content: bytes) -> Iterator[Any]:
    """The values of a JSON text, or of several one after the other, as `kubectl get -o json | jq -c` prints them.

    Args:
        content: UTF-8 without a byte order mark.

    Raises:
        InputError: Not JSON (RFC 8259), a key twice in an object, NaN or Infinity, nested or grown beyond the limits.
    """
    if has_too_many_values(content):
        raise InputError(f"more than {MAX_NODES} values in one file", where=("document 1",), remedy="Split the file")
    text = content.decode()
    decoder = strict_decoder()
    position = _skip_blank(text, 0)
    document = 0
    while position < len(text):
        document += 1
        place = f"document {document}"
        if document > MAX_DOCUMENTS:
            raise InputError(f"more than {MAX_DOCUMENTS} documents in one file", remedy="Split the file")
        try:
            with _without_collection():
                value, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise InputError(
                f"not valid JSON: {error.msg}",
                where=(place, f"line {error.lineno}"),
                remedy="Correct the file, or leave it out",
            ) from None
        except RecursionError:
            raise _too_deep(place) from None
        except ValueError:  # a number of more digits than Python converts
            raise InputError("a number with thousands of digits", where=(place,), remedy="Correct the file") from None
        except InputError as error:
            raise error.inside(place) from None
        if is_deeper(value, MAX_DEPTH):
            raise _too_deep(place)
        yield value
        position = _skip_blank(text, position)


def has_too_many_values(content: bytes) -> bool:
    """Whether there may be more values than a file is allowed: known before anything is built.

    Every value but the first of a text follows a comma, a bracket or a brace.
    """
    return content.count(b",") + content.count(b"[") + content.count(b"{") > MAX_NODES


def strict_decoder() -> json.JSONDecoder:
    """A decoder that raises InputError for what the standard library's lets pass: keys twice, NaN and Infinity."""
    return json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)


def is_deeper(value: Any, limit: int) -> bool:
    """Whether objects and arrays stand inside each other in more than `limit` levels, the value's own included."""
    level = [value] if isinstance(value, (dict, list)) else []
    depth = 0
    while level:
        depth += 1
        if depth > limit:
            return True
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
    return False


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Millions of new containers make the cycle collector run over all of them again and again; JSON has no cycles.

    It takes a third off the time for a large list.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _skip_blank(text: str, position: int) -> int:
    while position < len(text) and text[position] in _BLANK:
        position += 1
    return position


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InputError(f"the key {twice[:80]!a} occurs twice in one object", remedy="Keep one of them")
    return result


def _no_constant(name: str) -> NoReturn:
    raise InputError(f"{name} is not a JSON value", remedy="Correct the file")


def _too_deep(place: str) -> InputError:
    return InputError(
        f"nested deeper than {MAX_DEPTH} levels", where=(place,), remedy="No Kubernetes object needs that"
    )
