"""Typed reading of a parsed object: what is asked for has the right type, or the error names the field.

The path to a field is put together only when it is needed for an error.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import AF_INET, inet_pton
from typing import TYPE_CHECKING, Any, Final, Self

from netpol.errors import InputError
from netpol.model.cidr import parse_cidr
from netpol.model.flow import SCTP, TCP, UDP, Address
from netpol.model.labels import (
    LabelSelector,
    Requirement,
    check_label_key,
    check_label_value,
    is_dns_label,
    is_dns_subdomain,
    parse_operator,
)
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROTOCOLS: Final = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP}
"""The protocols that ports of containers, Services and endpoints can have (core/v1 Protocol)."""

_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[-+]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = -(2**62), 2**62
_NOTHING: Final[dict[str, Any]] = {}


class Fields:
    """A mapping inside an object; null and absent fields are the same, as in the Kubernetes API.

    Every reader raises InputError, with the field's path as `where`, when the field holds something of another type.
    """

    __slots__ = ("_data", "_parent", "_step")

    def __init__(self, data: Mapping[str, Any], parent: Fields | None = None, step: str = "") -> None:
        self._data = data
        self._parent = parent
        self._step = step

    @property
    def path(self) -> str:
        """Where this mapping stands in its object: `spec.containers[0]`."""
        outer = self._parent.path if self._parent is not None else ""
        return f"{outer}.{self._step}" if outer and self._step else outer or self._step

    def error(self, name: str, what: str, remedy: str = "Correct the manifest") -> InputError:
        """An error about the field `name` of this mapping."""
        outer = self.path
        return InputError(what, where=(f"{outer}.{name}" if outer and name else outer or name,), remedy=remedy)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._data.get(name) is not None

    def fields(self, name: str) -> Fields:
        """The mapping in a field; an empty one where there is none."""
        return Fields(self._mapping(name), self, name)

    def each(self, name: str) -> Iterator[Fields]:
        """The mappings in a list."""
        return self._each(name) if self._data.get(name) is not None else iter(())

    def _each(self, name: str) -> Iterator[Fields]:
        for index, value in enumerate(self._list(name)):
            if type(value) is not dict:
                raise self._mistyped(f"{name}[{index}]", value, "a mapping")
            yield Fields(value, self, f"{name}[{index}]")

    def text(self, name: str, default: str = "") -> str:
        """The text in a field."""
        value = self._data.get(name)
        if value is None:
            return default
        if type(value) is not str:
            raise self._mistyped(name, value, "text")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """The texts in a list."""
        values = self._list(name)
        for index, value in enumerate(values):
            if type(value) is not str:
                raise self._mistyped(f"{name}[{index}]", value, "text")
        return tuple(values)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """The boolean in a field."""
        value = self._data.get(name)
        if value is None:
            return default
        if type(value) is not bool:
            raise self._mistyped(name, value, "true or false")
        return value

    def port(self, name: str, default: int = 0) -> int:
        """The port number, 1 to 65535, in a field; `default` where it is absent or 0, which the API treats alike."""
        value = self._data.get(name)
        if value is None or value == 0:
            return default
        if type(value) is not int:
            raise self._mistyped(name, value, "a port number")
        if not 0 < value < 65536:
            raise self.error(name, f"{shown(value)} is not a port", "Ports are 1 to 65535")
        return value

    def port_or_name(self, name: str, default: int) -> int | str:
        """An IntOrString port: text is a port's name."""
        value = self._data.get(name)
        return (value or default) if type(value) is str else self.port(name, default)

    def protocol(self) -> int:
        """The IP protocol number of the field `protocol`, TCP where it is absent."""
        word = self.text("protocol") or "TCP"
        if word not in PROTOCOLS:
            raise self.error("protocol", f"{shown(word)} is not a protocol", "Use TCP, UDP or SCTP")
        return PROTOCOLS[word]

    def time(self, name: str) -> int | None:
        """Nanoseconds since the epoch of the RFC 3339 time in a field; None where it is absent or Go's zero time."""
        value = self._data.get(name)
        if value is None or value == "":
            return None
        if type(value) is not str:
            raise self._mistyped(name, value, "a time")
        try:
            return parse_time(value)
        except InputError as error:
            raise error.inside(self.error(name, "").where[0]) from None

    def address(self, name: str) -> Address | None:
        """The address in a field, None where it is absent or empty."""
        text = self.text(name)
        return self._address(name, text) if text else None

    def addresses(self, name: str) -> tuple[Address, ...]:
        """The addresses in a list of texts."""
        return tuple(self._address(f"{name}[{index}]", text) for index, text in enumerate(self.texts(name)) if text)

    def cidrs(self, name: str) -> tuple[str, ...]:
        """The blocks in a list of texts, in canonical form."""
        return tuple(str(self._checked(f"{name}[{index}]", text)) for index, text in enumerate(self.texts(name)))

    def labels(self, name: str = "labels") -> Mapping[str, str]:
        """The labels in a field, their syntax checked; equal ones, as replicas have them, are one object."""
        labels = self._mapping(name)
        try:
            return _checked_labels(tuple(labels.items()))
        except (InputError, TypeError):
            raise self._bad_label(name, labels) from None

    def selector(self, name: str = "selector") -> LabelSelector | None:
        """The LabelSelector in a field, None where it is absent."""
        if not self.has(name):
            return None
        fields = self.fields(name)
        requirements = []
        for item in fields.each("matchExpressions"):
            try:
                operator = parse_operator(item.text("operator"))
                requirements.append(Requirement(item.text("key"), operator, item.texts("values")))
            except InputError as error:
                raise error if error.where else error.inside(item.path) from None
        return LabelSelector(match_labels=fields.labels("matchLabels"), match_expressions=tuple(requirements))

    def name(self, field: str = "name", *, namespace: bool = False) -> str:
        """The name of an object (or of its namespace): a DNS subdomain (label), so that it is safe wherever it goes."""
        text = self.text(field)
        if not (is_dns_label(text) if namespace else is_dns_subdomain(text)):
            what = f"{shown(text)} is not a name" if text else "is missing"
            raise self.error(field, what, "Names are lower-case letters, digits, '-' and '.'")
        return text

    def name_of_kind(self, field: str) -> str:
        """The name of a kind, letters and digits."""
        text = self.text(field)
        if not (text.isascii() and text.isalnum()):
            raise self.error(
                field, f"{shown(text)} is not a kind" if text else "is missing", "Kinds are letters and digits"
            )
        return text

    def _mapping(self, name: str) -> dict[str, Any]:
        value = self._data.get(name)
        if value is None:
            return _NOTHING
        if type(value) is not dict:
            raise self._mistyped(name, value, "a mapping")
        return value

    def _list(self, name: str) -> list[Any]:
        value = self._data.get(name)
        if value is None:
            return []
        if type(value) is not list:
            raise self._mistyped(name, value, "a list")
        return value

    def _address(self, name: str, text: str) -> Address:
        try:
            return parse_address(text)
        except InputError as error:
            raise error.inside(self.error(name, "").where[0]) from None

    def _checked(self, name: str, text: str) -> object:
        try:
            return parse_cidr(text)
        except InputError as error:
            raise error.inside(self.error(name, "").where[0]) from None

    def _bad_label(self, name: str, labels: dict[str, Any]) -> InputError:
        for key, value in labels.items():
            if type(value) is not str:
                return self._mistyped(f"{name}.{key}", value, "text")
            try:
                _check_label(key, value)
            except InputError as error:
                return error.inside(self.error(name, "").where[0])
        raise AssertionError("labels that were refused are refused again")

    def _mistyped(self, name: str, value: object, expected: str) -> InputError:
        kinds = {
            type(None): "nothing",
            bool: "true or false",
            int: "a number",
            float: "a number",
            str: "text",
            list: "a list",
            dict: "a mapping",
        }
        found = kinds.get(type(value), "something else")
        hints = {bool: "Quote it: YAML reads yes, no, on, off as booleans", int: "Quote it", float: "Quote it"}
        remedy = hints.get(type(value), "Correct the manifest") if expected == "text" else "Correct the manifest"
        return self.error(name, f"is {found} where {expected} belongs", remedy)


class Object(Fields):
    """A whole object: its identity was checked.

    Attributes:
        kind: As written.
        group: The API group, empty for core.
        metadata: Its metadata.
        namespace: `default` where the manifest gives none, as kubectl does without another context.
        object_name: The object's name.
    """

    __slots__ = ("group", "kind", "metadata", "namespace", "object_name")

    kind: str
    group: str
    metadata: Fields
    namespace: str
    object_name: str

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Reads kind, apiVersion, name and namespace.

        Raises:
            InputError: One of them is missing or malformed.
        """
        found = cls(data)
        found.kind = found.text("kind")
        found.group = found.text("apiVersion").rpartition("/")[0]
        # Its path is the same without a parent, which would hold it in turn: a cycle keeps the whole object in memory.
        found.metadata = Fields(found._mapping("metadata"), step="metadata")
        found.object_name = found.metadata.name()
        found.namespace = (
            found.metadata.name("namespace", namespace=True) if found.metadata.text("namespace") else "default"
        )
        return found


@lru_cache(maxsize=65536)
def _checked_labels(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    for key, value in items:
        if type(value) is not str:
            raise TypeError
        _check_label(key, value)
    return dict(items)


@lru_cache(maxsize=65536)
def _check_label(key: str, value: str) -> None:
    check_label_key(key)
    check_label_value(value)


@lru_cache(maxsize=65536)
def parse_time(text: str) -> int | None:
    """Nanoseconds since the epoch of an RFC 3339 time; None for Go's zero time, year 1.

    Raises:
        InputError: Not such a time.
    """
    try:
        moment = datetime.fromisoformat(text.upper()) if _TIME.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None:
        raise InputError(f"{shown(text)} is not a time", remedy="Write it like 2026-01-31T12:00:00Z")
    if moment.year == 1:
        return None
    passed = moment - _EPOCH
    nanoseconds = ((passed.days * 86400 + passed.seconds) * 10**6 + passed.microseconds) * 1000
    return min(max(nanoseconds, _EARLIEST), _LATEST)


@lru_cache(maxsize=65536)
def parse_address(text: str) -> Address:
    """An address without a zone; an IPv4-mapped IPv6 address is the IPv4 address that it stands for on the wire.

    Raises:
        InputError: Not such an address.
    """
    try:
        # Five times as fast as ipaddress, which takes the text apart in Python, and as strict (POSIX, inet_pton).
        return IPv4Address(inet_pton(AF_INET, text))
    except (OSError, ValueError):  # another address, or none at all
        pass
    try:
        address: IPv4Address | IPv6Address | None = ip_address(text)
    except ValueError:
        address = None
    if address is None or (isinstance(address, IPv6Address) and address.scope_id is not None):
        raise InputError(f"{shown(text)} is not an IP address", remedy="Write it like 10.0.0.1 or 2001:db8::1")
    return getattr(address, "ipv4_mapped", None) or address
