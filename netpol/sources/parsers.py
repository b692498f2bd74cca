"""One line of a log of each kind to what it says; some kinds have headings that say what follows means."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from netpol.capture.name_evidence import Greeting
from netpol.sources import (
    calico,
    conntrack,
    hubble,
    hubble_fields,
    hubble_names,
    inspektor,
    verdicts,
    vpc,
    zeek,
    zeek_names,
)
from netpol.sources.builder import Entry, Whole
from netpol.sources.kinds import Kind
from netpol.sources.name_evidence import Answer
from netpol.sources.tally import Passed

if TYPE_CHECKING:
    from collections.abc import Mapping

Said = Entry | Whole | conntrack.Tracked | calico.Told | Answer | Greeting | tuple[Answer, Whole] | Passed | None
"""What one line can say; None: it is a heading."""

Parser = Callable[[bytes], Said]
"""Raises ValueError or msgspec.MsgspecError where a line cannot be read."""


def parser_of(kind: Kind) -> Parser:
    """A parser for the lines of one file, in their order."""
    return _PARSERS[kind]()


def _hubble() -> Parser:
    def parse(line: bytes) -> Said:
        said = hubble.read_line(line)
        return hubble_names.read_names(said) if isinstance(said, hubble_fields.Flow) else said

    return parse


def _zeek_row(path: str, row: Mapping[str, Any]) -> Said:
    if path == "conn":
        return zeek.read_connection(row)
    if path == "dns":
        return zeek_names.read_answer(row)
    if path == "ssl":
        return zeek_names.read_greeting(row)
    return Passed("Zeek: another log than conn, dns and ssl", foreign=not path)


def _zeek() -> Parser:
    header = zeek.Header()

    def parse(line: bytes) -> Said:
        text = line.decode("utf-8", "surrogateescape")
        if text.startswith("#"):
            header.take(text)
            return None
        return _zeek_row(header.path, header.row(text))

    return parse


def _zeek_json() -> Parser:
    decoder = msgspec.json.Decoder(dict[str, Any])

    def parse(line: bytes) -> Said:
        row = decoder.decode(line)
        return _zeek_row(str(row.get("_path") or zeek.path_of(row)), row)

    return parse


def _vpc() -> Parser:
    fields = vpc.DEFAULT

    def parse(line: bytes) -> Said:
        nonlocal fields
        text = line.decode("ascii")
        named = vpc.heading(text)
        if named is None:
            return vpc.read_record(fields, text)
        lacking = vpc.lacking(named)
        if lacking:
            raise ValueError(f"a heading without {', '.join(lacking)}")
        fields = named
        return None

    return parse


_PARSERS: Final[dict[Kind, Callable[[], Parser]]] = {
    Kind.HUBBLE: _hubble,
    Kind.ZEEK: _zeek,
    Kind.ZEEK_JSON: _zeek_json,
    Kind.CONNTRACK: lambda: conntrack.read_line,
    Kind.VPC: _vpc,
    Kind.VPC_CNI: lambda: verdicts.read_vpc_cni,
    Kind.GKE: lambda: verdicts.read_gke,
    Kind.CALICO: lambda: calico.read_line,
    Kind.INSPEKTOR: lambda: inspektor.read_line,
}
