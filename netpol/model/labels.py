"""Label selectors with the API's meaning, and the syntax of labels and names.

Syntax: `IsLabelKey`, `IsLabelValue`, `IsDNS1123Subdomain`, `IsDNS1123Label` and `IsValidPortName` of the API's
validation. Meaning: `LabelSelectorAsSelector` of apimachinery; NotIn and DoesNotExist also match where the key is
absent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from netpol.errors import InputError
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LABEL_PART = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(rf"{_DNS_LABEL.pattern}(?:\.{_DNS_LABEL.pattern})*")
_PORT_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LONGEST_PART, _LONGEST_DOMAIN, _LONGEST_PORT_NAME = 63, 253, 15


def is_dns_label(text: str) -> bool:
    """Whether the text names a namespace: an RFC 1123 label in lower case."""
    return len(text) <= _LONGEST_PART and _DNS_LABEL.fullmatch(text) is not None


def is_dns_subdomain(text: str) -> bool:
    """Whether the text names an object: dot-separated RFC 1123 labels in lower case, at most 253 characters in all."""
    return len(text) <= _LONGEST_DOMAIN and _DNS_SUBDOMAIN.fullmatch(text) is not None


def is_label_key(text: str) -> bool:
    """Whether the text is a label key: a name of at most 63 characters, after an optional DNS subdomain and a slash."""
    prefix, slash, name = text.rpartition("/")
    return (
        len(name) <= _LONGEST_PART
        and _LABEL_PART.fullmatch(name) is not None
        and (is_dns_subdomain(prefix) if slash else True)
    )


def is_label_value(text: str) -> bool:
    """Whether the text is a label value: empty, or at most 63 characters of letters, digits, `-`, `_` and `.`."""
    return not text or (len(text) <= _LONGEST_PART and _LABEL_PART.fullmatch(text) is not None)


def is_port_name(text: str) -> bool:
    """Whether the text names a port: an IANA service name (RFC 6335 5.1) in lower case."""
    return (
        len(text) <= _LONGEST_PORT_NAME
        and _PORT_NAME.fullmatch(text) is not None
        and any("a" <= character <= "z" for character in text)
    )


class Operator(StrEnum):
    """How a requirement compares a label with its values; the values are the API's words."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


_VALUED = frozenset({Operator.IN, Operator.NOT_IN})


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """One condition on one label.

    Attributes:
        key: The label's key.
        operator: The comparison; the API's word is accepted too.
        values: For In and NotIn at least one, each once and sorted; for the others none.
    """

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_label_key(self.key)
        object.__setattr__(self, "operator", parse_operator(self.operator))
        check_value_count(self.operator, len(self.values))
        for value in self.values:
            check_label_value(value)
        object.__setattr__(self, "values", tuple(sorted(set(self.values))))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels meets the condition."""
        if self.operator is Operator.IN:
            return labels.get(self.key) in self.values
        if self.operator is Operator.NOT_IN:
            return labels.get(self.key) not in self.values
        return (self.key in labels) is (self.operator is Operator.EXISTS)

    def __str__(self) -> str:
        if self.operator is Operator.IN and len(self.values) == 1:
            return f"{self.key}={self.values[0]}"
        if self.operator in _VALUED:
            return f"{self.key} {'in' if self.operator is Operator.IN else 'notin'} ({','.join(self.values)})"
        return self.key if self.operator is Operator.EXISTS else f"!{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSelector:
    """A conjunction of conditions; without any it matches everything.

    Spelling does not matter to equality: `matchLabels {a: b}` equals `matchExpressions a In [b]`, order and
    repetition are dropped. Construction moves every one-valued In to `match_labels`, except where its key is taken
    there by another value (such a selector matches nothing, and stays as contradictory as it was written).

    Attributes:
        match_labels: Key to value, sorted by key. Not to be changed.
        match_expressions: The other conditions, each once and sorted.
        requirements: All conditions, each once and sorted: what equality and hash go by.
    """

    match_labels: Mapping[str, str] = field(default_factory=dict, compare=False)
    match_expressions: tuple[Requirement, ...] = field(default=(), compare=False)
    requirements: tuple[Requirement, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        written = (Requirement(key, Operator.IN, (value,)) for key, value in self.match_labels.items())
        requirements = tuple(sorted({*written, *self.match_expressions}))
        labels: dict[str, str] = {}
        expressions = []
        for requirement in requirements:
            plain = requirement.operator is Operator.IN and len(requirement.values) == 1
            if plain and requirement.key not in labels:
                labels[requirement.key] = requirement.values[0]
            else:
                expressions.append(requirement)
        object.__setattr__(self, "match_labels", labels)
        object.__setattr__(self, "match_expressions", tuple(expressions))
        object.__setattr__(self, "requirements", requirements)

    @property
    def is_empty(self) -> bool:
        """Whether it has no condition and so matches everything."""
        return not self.requirements

    @property
    def keys(self) -> frozenset[str]:
        """The label keys that it looks at."""
        return frozenset(requirement.key for requirement in self.requirements)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        # A plain loop takes half the time of all() over a generator, and this is asked more often than anything else.
        for requirement in self.requirements:  # noqa: SIM110
            if not requirement.matches(labels):
                return False
        return True

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


EVERYTHING = LabelSelector()
"""The empty selector."""


def check_label_key(text: str) -> None:
    """Raises InputError unless the text is a label key."""
    if not is_label_key(text):
        raise InputError(
            f"{shown(text)} is not a label key",
            remedy="Use at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends, "
            "after an optional DNS subdomain and '/'",
        )


def check_label_value(text: str) -> None:
    """Raises InputError unless the text is a label value."""
    if not is_label_value(text):
        raise InputError(
            f"{shown(text)} is not a label value",
            remedy="Use at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends, or nothing",
        )


def parse_operator(text: str) -> Operator:
    """The operator of this name; raises InputError where there is none."""
    try:
        return Operator(text)
    except ValueError:
        raise InputError(f"{shown(text)} is not an operator", remedy=f"Use {_one_of(Operator)}") from None


def check_value_count(operator: Operator, count: int) -> None:
    """Raises InputError where In or NotIn has no values, or Exists or DoesNotExist has some."""
    if operator in _VALUED and not count:
        raise InputError(f"{operator} needs at least one value", remedy="Give values, or use Exists or DoesNotExist")
    if operator not in _VALUED and count:
        raise InputError(f"{operator} takes no values", remedy="Remove them, or use In or NotIn")


def _one_of(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}"
