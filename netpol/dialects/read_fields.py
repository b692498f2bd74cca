"""Fields of a parsed document, read strictly: every problem is noted with its path, and reading goes on.

Follows the API server's strict decoding: unknown fields and wrong types are errors, null is the same as absent.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from netpol.errors import InputError
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Value = TypeVar("_Value")

_LONGEST_NAME, _UNKNOWN_SHOWN = 40, 20
"""Of the unknown fields of one object, this many are named."""


class Field:
    """One value, the path to it, and the list that problems are noted in.

    Args:
        value: As parsed; None where it is null or absent.
        path: From the document's root: `spec.ingress[2].ports[0]`, empty for the root.
        problems: Shared by all fields of a document, in the order of reading.
    """

    __slots__ = ("path", "problems", "value")

    def __init__(self, value: Any, path: str, problems: list[InputError]) -> None:
        self.value = value
        self.path = path
        self.problems = problems

    @property
    def absent(self) -> bool:
        """Whether it is missing or null."""
        return self.value is None

    def note(self, what: str, remedy: str) -> None:
        """Notes a problem with this field."""
        self.problems.append(InputError(what, where=(self.path,) if self.path else (), remedy=remedy))

    def accepts(self, check: Callable[[_Value], object], value: _Value) -> bool:
        """Whether the check raises nothing for the value; what it raises is noted here."""
        try:
            check(value)
        except InputError as error:
            self.note(error.what, error.remedy)
            return False
        return True

    def child(self, name: str) -> Field:
        """The field of this name, absent where this is no object."""
        value = self.value.get(name) if isinstance(self.value, dict) else None
        return Field(value, f"{self.path}.{name}" if self.path else name, self.problems)

    def expect_object(self, *known: str) -> Field:
        """This field, after noting that it is no object, or which of its fields are not known."""
        if self._expect(dict, "an object") and self.value is not None:
            unknown = [name for name in self.value if name not in known]
            for name in unknown[:_UNKNOWN_SHOWN]:
                self.note(f"unknown field {shown(name)}", _spelling(name, known))
            if len(unknown) > _UNKNOWN_SHOWN:
                self.note(f"{len(unknown) - _UNKNOWN_SHOWN} more unknown fields", "Remove them")
        return self

    def items(self) -> Iterator[Field]:
        """The items of a list; none where it is absent or no list, which is noted."""
        if self._expect(list, "a list") and self.value is not None:
            for index, item in enumerate(self.value):
                yield Field(item, f"{self.path}[{index}]", self.problems)

    def pairs(self) -> Iterator[tuple[str, Field]]:
        """Key and value of a map of texts; a null value is the empty text, as the API server reads it."""
        if self._expect(dict, "an object") and self.value is not None:
            for key, value in self.value.items():
                if isinstance(key, str):
                    yield key, Field("" if value is None else value, f"{self.path}[{shown(key)}]", self.problems)
                else:
                    self.note(f"a key is {_kind_of(key)}, not text", "Put it in quotes")

    def text(self) -> str | None:
        """The text, None where it is absent or no text, which is noted."""
        return self.value if self._expect(str, "text", "Put it in quotes") else None

    def integer(self) -> int | None:
        """The number, None where it is absent or no whole number, which is noted."""
        return self.value if self._expect(int, "a whole number") else None

    def _expect(self, kind: type, name: str, remedy: str = "") -> bool:
        """Whether the value is of this kind or absent; notes it where not. A boolean is no number."""
        if self.value is None or (isinstance(self.value, kind) and not isinstance(self.value, bool)):
            return True
        self.note(f"is {_kind_of(self.value)}, not {name}", remedy or f"Write {name}")
        return False


def _spelling(name: object, known: tuple[str, ...]) -> str:
    """Advice on an unknown field; names are compared as the API server does, letter case included."""
    guess = {word.lower(): word for word in known}
    close = get_close_matches(str(name)[:_LONGEST_NAME].lower(), guess, n=1)
    return f"Write {guess[close[0]]}, or remove it" if close else "Remove it, or check what it is meant for"


def _kind_of(value: object) -> str:
    if isinstance(value, bool | int | float):
        return f"{'a boolean' if isinstance(value, bool) else 'a number'} ({shown(value)})"
    if isinstance(value, str):
        return f"text ({shown(value)})"
    return {dict: "an object", list: "a list", type(None): "null"}.get(type(value), f"a {type(value).__name__}")
