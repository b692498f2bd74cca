"""A label selector from one line of text, as `kubectl get -l` takes it.

The grammar is that of apimachinery (`labels.Parse`), which is wider than what its documentation shows:

    selector    = [ requirement { "," requirement } ]
    requirement = "!" key | key | key ("=" | "==" | "!=") [ value ] | key ("in" | "notin") "(" values ")"
    values      = [ value ] { "," [ value ] }

Blanks, tabs and line ends separate words; the signs `= ! ( ) , < >` need none around them. A value may be missing: it
is then the empty one. `in` and `notin` are words like any other where no operator can stand. The numeric comparisons
`<` and `>`, which `labels.Parse` has too, are no part of the API's LabelSelector and are refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from netpol.errors import InputError, UsageError
from netpol.model.labels import LabelSelector, Operator, Requirement
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST: Final = 10_000
"""Characters of a selector: no one writes more, and a command line holds hardly more."""

_TOKEN = re.compile(r"(?P<sign>==|!=|[=!(),<>])|(?P<word>[^ \t\r\n=!(),<>]+)|[ \t\r\n]+")
_EQUAL: Final = {"=": Operator.IN, "==": Operator.IN, "!=": Operator.NOT_IN}
_SETS: Final = {"in": Operator.IN, "notin": Operator.NOT_IN}
_REMEDY: Final = "Write it as for kubectl get -l: app=web,tier!=cache,env in (prod,staging),!canary"


class _Token(NamedTuple):
    """A word or a sign; of the end of the text both are false and the text is empty."""

    text: str
    word: bool = False


_END: Final = _Token("")


def parse_selector(text: str) -> LabelSelector:
    """The selector; the empty text selects everything.

    Raises:
        UsageError: The text is no selector; the message quotes it and says where it went wrong.
    """
    if len(text) > LONGEST:
        raise UsageError(f"a label selector of {len(text):,} characters", remedy=f"Use at most {LONGEST:,}")
    try:
        return LabelSelector(match_expressions=tuple(_Reader(text).requirements()))
    except InputError as error:
        raise UsageError(f"{shown(text)} is not a label selector: {error.what}", remedy=error.remedy) from None


class _Reader:
    """Recursive descent with one token of look-ahead."""

    def __init__(self, text: str) -> None:
        self._tokens = [
            _Token(match[0], match.lastgroup == "word") for match in _TOKEN.finditer(text) if match.lastgroup
        ]
        self._place = 0

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place] if self._place < len(self._tokens) else _END

    def _take(self) -> _Token:
        token = self._next
        self._place += 1
        return token

    def requirements(self) -> Iterator[Requirement]:
        if self._next == _END:
            return
        while True:
            yield self._requirement()
            if self._next == _END:
                return
            self._expect(",")

    def _requirement(self) -> Requirement:
        absent = self._next.text == "!"
        if absent:
            self._take()
        key = self._word("a label key")
        if absent:
            return Requirement(key, Operator.DOES_NOT_EXIST)
        operator = self._next.text
        if operator in {"", ","}:
            return Requirement(key, Operator.EXISTS)
        if operator in {"<", ">"}:
            raise InputError(f"{operator!r} compares numbers, which selectors of pods cannot", remedy=_REMEDY)
        if operator in _SETS:
            self._take()
            return Requirement(key, _SETS[operator], tuple(self._values()))
        if operator not in _EQUAL:
            raise self._unexpected("an operator (=, ==, !=, in, notin), ',' or the end")
        self._take()
        value = "" if self._next.text in {"", ","} else self._word("a value")
        return Requirement(key, _EQUAL[operator], (value,))

    def _values(self) -> Iterator[str]:
        self._expect("(")
        while True:
            yield self._word("a value") if self._next.text not in {",", ")"} else ""
            if self._next.text == ")":
                self._take()
                return
            self._expect(",", "',' or ')'")

    def _word(self, what: str) -> str:
        if not self._next.word:
            raise self._unexpected(what)
        return self._take().text

    def _expect(self, sign: str, what: str = "") -> None:
        if self._next.text != sign:
            raise self._unexpected(what or repr(sign))
        self._take()

    def _unexpected(self, expected: str) -> InputError:
        found = shown(self._next.text) if self._next != _END else "the end"
        return InputError(f"{found} where {expected} should stand", remedy=_REMEDY)
