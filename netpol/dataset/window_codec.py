"""Windows as bytes: a magic, then one zstd frame (RFC 8878) of one MessagePack map, its columns little-endian.

What comes back from `read_window` is valid: who sent it is not trusted. Columns stand one after the other rather than
record after record, which compresses to less than half.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

import msgspec
import numpy as np
import zstandard

from netpol.dataset.layout import NewerError
from netpol.dataset.promises import check_records
from netpol.dataset.window import Losses, Window
from netpol.errors import InputError
from netpol.flows.records import BOOKKEEPING, RECORD, Records, empty, hashes
from netpol.model.host_name import host_name
from netpol.names.hidden import OVER_HTTPS, OVER_QUIC, OVER_TLS
from netpol.names.part import ASKED, NamesPart
from netpol.names.spans import SPAN

MAGIC: Final = b"NPWINDOW"
FORMAT: Final = 1
MOST_BYTES: Final = 32 << 20
"""Of a window, compressed."""
MOST_UNPACKED: Final = 256 << 20
"""Of a window, unpacked."""
MOST_RECORDS: Final = 1 << 20
"""Partial connections, spans of each kind, and names in a window."""
_MOST_COUNTED: Final = 1 << 50
_LEVEL: Final = 3
_COLUMNS: Final = tuple(name for name in RECORD.names or () if name not in BOOKKEEPING)
_SPAN_COLUMNS: Final = tuple(name for name in SPAN.names or () if name != "key")
_WAYS: Final = frozenset({OVER_TLS, OVER_QUIC, OVER_HTTPS})
_LONGEST_TEXT: Final = 200
_REMEDY: Final = "It was not written by netpol, or was damaged on its way"


class _Spans(msgspec.Struct, forbid_unknown_fields=False):
    count: int
    columns: dict[str, bytes]


class _Names(msgspec.Struct, forbid_unknown_fields=False):
    names: list[str]
    leases: _Spans
    greetings: _Spans
    asked: bytes
    hidden: list[tuple[tuple[int, int], tuple[int, int], int, str]]
    counts: dict[str, int]
    rejected: int
    samples: list[bytes]
    forgotten: tuple[int, int]


class _Losses(msgspec.Struct, forbid_unknown_fields=False):
    kernel: int = 0
    evicted: int = 0
    undecodable: dict[str, int] = {}
    windows: int = 0
    records: int = 0


class _Window(msgspec.Struct, forbid_unknown_fields=False):
    format: int
    observer: str
    run: str
    number: int
    begin: int
    end: int
    packets: int
    interfaces: int
    version: str
    records: _Spans
    names: _Names
    losses: _Losses


class _Head(msgspec.Struct, forbid_unknown_fields=False):
    format: int
    version: str = ""


def write_window(window: Window) -> bytes:
    """The window as bytes, the same for the same window."""
    names = window.names
    losses = window.losses
    text = _Window(
        format=FORMAT,
        observer=window.observer,
        run=window.run,
        number=window.number,
        begin=window.begin,
        end=window.end,
        packets=window.packets,
        interfaces=window.interfaces,
        version=window.version,
        records=_columns(window.records, _COLUMNS),
        names=_Names(
            names=[*names.names],
            leases=_columns(names.leases, _SPAN_COLUMNS),
            greetings=_columns(names.greetings, _SPAN_COLUMNS),
            asked=names.asked.tobytes(),
            hidden=[*names.hidden],
            counts=dict(names.counts),
            rejected=names.rejected,
            samples=[*names.samples],
            forgotten=names.forgotten,
        ),
        losses=_Losses(
            kernel=losses.kernel,
            evicted=losses.evicted,
            undecodable=dict(losses.undecodable),
            windows=losses.windows,
            records=losses.records,
        ),
    )
    return MAGIC + zstandard.ZstdCompressor(level=_LEVEL).compress(msgspec.msgpack.encode(text))


def read_window(data: bytes | memoryview, place: str) -> Window:
    """The window that the bytes hold.

    Args:
        data: As `write_window` made them.
        place: What they are called in messages.

    Raises:
        InputError: They hold none, or one of a newer format, or one that is too large.
    """
    if len(data) > MOST_BYTES:
        _refuse(place, f"a window of more than {MOST_BYTES >> 20} MiB", "Record with shorter windows")
    if bytes(data[: len(MAGIC)]) != MAGIC:
        _refuse(place, "not a window", _REMEDY)
    raw = _unpacked(data[len(MAGIC) :], place)
    try:
        head = msgspec.msgpack.decode(raw, type=_Head)
        if head.format > FORMAT:
            by = f" by netpol {head.version[:_LONGEST_TEXT]}" if head.version else ""
            raise NewerError(
                f"a window of format {head.format}, written{by}",
                where=(place,),
                remedy="Read it with that version, or a newer one",
            )
        return _window(msgspec.msgpack.decode(raw, type=_Window))
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise InputError(f"not a window that can be read: {error}", where=(place,), remedy=_REMEDY) from error


def _refuse(place: str, what: str, remedy: str) -> NoReturn:
    raise InputError(what, where=(place,), remedy=remedy)


def _unpacked(data: bytes | memoryview, place: str) -> bytes:
    try:
        size = zstandard.frame_content_size(bytes(data[:32]))
        if not 0 <= size <= MOST_UNPACKED:
            _refuse(
                place, f"a window that unpacks to more than {MOST_UNPACKED >> 20} MiB", "Record with shorter windows"
            )
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise InputError("a damaged window", where=(place,), remedy=_REMEDY) from error


def _columns(rows: np.ndarray[Any, Any], names: tuple[str, ...]) -> _Spans:
    return _Spans(
        count=len(rows),
        columns={
            name: np.ascontiguousarray(rows[name]).astype(rows[name].dtype.newbyteorder("<")).tobytes()
            for name in names
        },
    )


def _window(text: _Window) -> Window:
    losses = text.losses
    counts = (losses.kernel, losses.evicted, losses.windows, losses.records, text.packets, text.interfaces)
    if min(counts) < 0 or min(losses.undecodable.values(), default=0) < 0:
        raise ValueError("a count below 0")
    if max(counts) > _MOST_COUNTED or max(losses.undecodable.values(), default=0) > _MOST_COUNTED:
        raise ValueError("a count that no window can hold")
    return Window(
        observer=text.observer,
        run=text.run,
        number=text.number,
        begin=text.begin,
        end=text.end,
        packets=text.packets,
        interfaces=text.interfaces,
        version=text.version,
        records=_records(text.records),
        names=_names(text.names),
        losses=Losses(
            kernel=losses.kernel,
            evicted=losses.evicted,
            undecodable=_texts(losses.undecodable),
            windows=losses.windows,
            records=losses.records,
        ),
    )


def _filled(rows: np.ndarray[Any, Any], text: _Spans, names: tuple[str, ...]) -> None:
    for name in names:
        kind = rows[name].dtype
        data = text.columns.get(name, b"")
        if len(data) != rows[name].nbytes:
            raise ValueError(f"a column {name} of {len(data)} bytes")
        rows[name] = np.frombuffer(data, kind.newbyteorder("<")).reshape(rows[name].shape)


def _counted(text: _Spans) -> int:
    if not 0 <= text.count <= MOST_RECORDS:
        raise ValueError(f"{text.count} rows, where {MOST_RECORDS} are the most")
    return text.count


def _records(text: _Spans) -> Records:
    """Records that keep the promises of `netpol.flows.records`.

    Raises:
        ValueError: They do not.
    """
    records = empty(_counted(text))
    columns = text.columns
    for flag in ("opened_high", "early", "tracked"):
        if columns.get(flag, b"").strip(b"\0\1"):
            raise ValueError(f"a {flag} that is neither true nor false")
    _filled(records, text, _COLUMNS)
    check_records(records)
    records["hash"] = hashes(records)
    return records


def _names(text: _Names) -> NamesPart:
    if len(text.names) > MOST_RECORDS or len(text.hidden) > MOST_RECORDS or len(text.samples) > _LONGEST_TEXT:
        raise ValueError("too many names")
    names = tuple(name for each in text.names if (name := host_name(each)) is not None and name == each)
    if len(names) != len(text.names):
        raise ValueError("a name that is no host name")
    asked = np.frombuffer(text.asked, ASKED.newbyteorder("<")).astype(ASKED)
    for client, server, protocol, way in text.hidden:
        words = (*client, *server)
        if way not in _WAYS or not 0 <= protocol < 256 or not all(0 <= word < 1 << 64 for word in words):
            raise ValueError("no way to hide names")
    if len(asked) > MOST_RECORDS or min(text.rejected, *text.forgotten, *text.counts.values(), 0) < 0:
        raise ValueError("a count that is none")
    if any(len(sample) > 1024 for sample in text.samples):
        raise ValueError("a sample of a name that is too long")
    return NamesPart(
        names=names,
        leases=_spans(text.leases),
        greetings=_spans(text.greetings),
        asked=asked,
        hidden=tuple(text.hidden),
        counts=_texts(text.counts),
        rejected=text.rejected,
        samples=tuple(text.samples),
        forgotten=text.forgotten,
    )


def _spans(text: _Spans) -> np.ndarray[Any, Any]:
    rows = np.zeros(_counted(text), SPAN)
    _filled(rows, text, _SPAN_COLUMNS)
    if (rows["last"] < rows["first"]).any():
        raise ValueError("a name that ends before it begins")
    return rows


def _texts(counts: dict[str, int]) -> dict[str, int]:
    """Counts by reason: whoever sent them may not choose what terminals do."""
    for what in counts:
        if not (what.isascii() and what.isprintable() and 0 < len(what) <= _LONGEST_TEXT):
            raise ValueError("a reason that is no text")
    return dict(sorted(counts.items()))
