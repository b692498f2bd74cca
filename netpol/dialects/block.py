"""Plain values as YAML in block style, with comments: for documents whose shape the Kubernetes writer does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from netpol.dialects.scalars import scalar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Value: TypeAlias = "str | int | Noted | Sequence[Value] | Mapping[str, Value]"
Document: TypeAlias = "Mapping[str, Value]"


@dataclass(frozen=True, slots=True)
class Noted:
    """A value with a comment: behind a scalar or an empty list, above anything else.

    Attributes:
        comment: One line of printable ASCII: whoever makes it sees to that.
    """

    value: Value
    comment: str


def to_text(document: Document, *, head: str = "") -> str:
    """One document.

    Args:
        document: Keys in the order in which they are to appear; strings are quoted where they need it.
        head: A comment above it, none where it is empty.
    """
    lines = [f"# {head}"] if head else []
    return "\n".join([*lines, *_mapping(document)]) + "\n"


def _mapping(value: Mapping[str, Value]) -> Iterator[str]:
    for key, item in value.items():
        plain, comment = (item.value, item.comment) if isinstance(item, Noted) else (item, "")
        if _is_nested(plain):
            if comment:
                yield f"# {comment}"
            yield f"{scalar(key)}:"
            yield from _indented(_lines(plain))
        else:
            yield f"{scalar(key)}: {_flat(plain)}" + (f" # {comment}" if comment else "")


def _sequence(value: Sequence[Value]) -> Iterator[str]:
    for item in value:
        plain, comment = (item.value, item.comment) if isinstance(item, Noted) else (item, "")
        if not _is_nested(plain):
            yield f"- {_flat(plain)}" + (f" # {comment}" if comment else "")
            continue
        if comment:
            yield f"# {comment}"
        lead = "- "
        for line in _lines(plain):
            yield lead + line
            lead = "  "


def _lines(value: Sequence[Value] | Mapping[str, Value]) -> Iterator[str]:
    return _mapping(value) if isinstance(value, Mapping) else _sequence(value)


def _is_nested(value: Value) -> TypeGuard[Sequence[Value] | Mapping[str, Value]]:
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str) and bool(value)


def _flat(value: Value) -> str:
    if isinstance(value, str):
        return scalar(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return "{}" if isinstance(value, Mapping) else "[]"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)
