"""Kubernetes objects out of files, folders and standard input, whatever they were written in.

Kinds of content are told by content: JSON when it starts with a brace or bracket, a history of the cluster when it
starts as SQLite databases do, YAML otherwise. A List, or a typed list such as PodList, is unwrapped into its items.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from netpol.cluster.json_list import JsonItems, read_json_list
from netpol.cluster.safe_json import read_json
from netpol.cluster.safe_yaml import MAX_DEPTH, read_yaml
from netpol.cluster.spans import BEGAN_ANNOTATION, GAPS_ANNOTATION, read_span
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from netpol.cluster.looks import Span

MAX_BYTES: Final = 256 << 20
"""A file larger than this is refused: 10,000 pods as kubectl prints them are 60 MB."""
MAX_FILES: Final = 100_000
"""Manifests in one folder tree."""
TAKEN_ANNOTATION: Final = "netpol/taken-at"
"""On the List that a netpol snapshot is: when it was taken (RFC 3339)."""
SCOPE_ANNOTATION: Final = "netpol/namespaces"
"""On the same List: the namespaces that it holds completely, joined by commas; `*` for the whole cluster."""
HISTORY_FILE: Final = "cluster.sqlite"
"""How a file with the cluster's history is called in the hub's folder."""
HISTORY_START: Final = b"SQLite format 3\x00"
"""How such a file begins (SQLite file format, 1.3)."""

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_JSON_START = re.compile(rb"[ \t\r\n]*[{\[]")
_FALLBACK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Document:
    """One object as it was written.

    Attributes:
        place: The file, then `document 2`, then `items[3]` where it came out of a list.
        data: The object; a mapping with string keys. In a folder it may be something else than a Kubernetes object
            (values of
            a chart, a compose file): then `kind` or `apiVersion` is missing.
        look: Which look at the cluster it belongs to: the file, or the list inside it. Objects of one look existed
            together.
        taken: When a netpol snapshot was taken, as it says itself (RFC 3339); empty for everything else.
        scope: What a netpol snapshot holds completely: `*` or namespaces joined by commas; empty for everything else.
        began: From when on a history of the cluster shows what existed (RFC 3339); empty for everything else.
        gaps: How often it may have missed changes of pods, in digits; empty for everything else.
        span: For how long a history knows the object to have been like this; None for everything else.
    """

    place: tuple[str, ...]
    data: dict[str, Any]
    look: tuple[str, ...] = ()
    taken: str = ""
    scope: str = ""
    began: str = ""
    gaps: str = ""
    span: Span | None = None


def read_documents(paths: Sequence[Path | Literal["-"]], *, past: bool = False) -> Iterator[Document]:
    """The objects in `paths`, in the order given.

    Folders are searched for `*.yaml`, `*.yml`, `*.json` and `cluster.sqlite`, sorted by name.

    Args:
        paths: Files, folders, or `-` for standard input. A file that is named is read whatever its name.
        past: Of histories take also what is gone, and earlier states of what is there; their spans tell it apart.

    Raises:
        InputError: A path cannot be read, is not text, not YAML or JSON, or holds something that is no object; `where`
            has the file, document, line and field as far as they are known.
    """
    if sum(path == "-" for path in paths) > 1:
        raise InputError("standard input is named twice", where=("-",), remedy="Name it once")
    for document in chain.from_iterable(map(_at, paths)):
        if past or document.span is None or document.span.present:
            yield document


def _at(path: Path | Literal["-"]) -> Iterator[Document]:
    if path == "-":
        yield from _read("standard input", sys.stdin.buffer.read(MAX_BYTES + 1), named=True)
    elif path.is_dir():
        for file in _manifests(path):
            yield from _file(file, named=False)
    else:
        yield from _file(path, named=True)


def _file(path: Path, *, named: bool) -> Iterator[Document]:
    content = _load(path)
    if not content.startswith(HISTORY_START):
        return _read(str(path), content, named=named)
    from netpol.cluster.history_read import history_documents  # noqa: PLC0415  # few need a database

    return history_documents(path)


def documents_in(name: str, content: bytes, *, named: bool) -> Iterator[Document]:
    """The objects in content that comes from elsewhere than a file: a git object, for one.

    Args:
        name: What to call it in messages and places.
        content: At most `MAX_BYTES`.
        named: It was asked for by name, not found in a folder: then all that it holds must be objects.

    Raises:
        InputError: As for `read_documents`.
    """
    return _read(name, content, named=named)


def _manifests(folder: Path) -> list[Path]:
    """Manifests below a folder.

    Hidden folders (.git, the ..data of a mounted ConfigMap) and links to folders are left alone.
    """
    found: list[Path] = []

    def refuse(error: OSError) -> None:
        raise InputError(
            f"cannot be read: {error.strerror}", where=(str(error.filename),), remedy="Check its permissions"
        )

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found.extend(
            file
            for name in sorted(names)
            if (name.lower().endswith(_SUFFIXES) or name == HISTORY_FILE)
            and not name.startswith(".")
            and (file := Path(parent, name)).is_file()
        )
        if len(found) > MAX_FILES:
            raise InputError(f"more than {MAX_FILES} manifests", where=(str(folder),), remedy="Name a smaller folder")
    if not found:
        raise InputError(
            f"the folder holds no *.yaml, *.yml or *.json file, and no {HISTORY_FILE}",
            where=(str(folder),),
            remedy="Name the folder of the manifests",
        )
    return found


def _load(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            start = stream.read(len(HISTORY_START))
            # A database is read in place, however large.
            return start if start == HISTORY_START else start + stream.read(MAX_BYTES + 1 - len(start))
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", where=(str(file),), remedy="Check the path and its permissions"
        ) from None
    except ValueError:  # a NUL in the name
        raise InputError("is not a path", where=(ascii(str(file)),), remedy="Check the path") from None


def _read(name: str, content: bytes, *, named: bool) -> Iterator[Document]:
    if len(content) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES >> 20} MiB", where=(name,), remedy="Split it, one file a namespace")
    for number, value in enumerate(_inside(name, _values(content)), start=1):
        if value is not None:
            place = (name, f"document {number}")
            _require_object(value, place, named=named)
            yield from _unwrap(Document(place, value, (name,)), 0)


def _inside(name: str, values: Iterable[Any]) -> Iterator[Any]:
    """The same values; an error on the way to the next one has the file's name before its place."""
    try:
        yield from values
    except InputError as error:
        raise error.inside(name) from None


def _utf8(content: bytes) -> bytes:
    """The same text as UTF-8 without a byte order mark (YAML 1.1, 5.2: a mark tells the encoding, none means UTF-8)."""
    mark, encoding = next((found for found in _MARKS if content.startswith(found[0])), (b"", "utf-8"))
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"is not {encoding.upper()} text (byte {error.start + len(mark)})", remedy="Save the file as UTF-8"
        ) from None
    return content[len(mark) :] if encoding == "utf-8" else text.encode()


def _values(content: bytes) -> Iterator[Any]:
    content = _utf8(content)
    if not _JSON_START.match(content):
        yield from read_yaml(content)
    elif len(content) > _FALLBACK_BYTES:
        found = read_json_list(content)
        yield from read_json(content) if found is None else (found,)
    else:
        yield from _json_or_flow_style(content)


def _json_or_flow_style(content: bytes) -> list[Any]:
    """`{a: b}` and `[a]` are YAML too; a broken JSON file is neither, and the message about JSON is the one to give."""
    try:
        return list(read_json(content))
    except InputError as error:
        if not error.what.startswith("not valid JSON"):
            raise
        try:
            return list(read_yaml(content))
        except InputError:
            raise error from None


def _require_object(value: object, place: tuple[str, ...], *, named: bool) -> None:
    """Folders may hold mappings that are something else; a file that was named must hold objects."""
    if not isinstance(value, dict):
        found = "a list" if isinstance(value, list) else "text" if isinstance(value, str) else "a number or a boolean"
        raise InputError(
            f"is {found}, not a Kubernetes object",
            where=place,
            remedy="Every document needs apiVersion, kind and metadata",
        )
    if named and not (isinstance(value.get("kind"), str) and isinstance(value.get("apiVersion"), str)):
        raise InputError("has no apiVersion and kind", where=place, remedy="Name files of Kubernetes objects only")


def _is_list(data: dict[str, Any]) -> bool:
    kind = data.get("kind")
    return isinstance(kind, str) and kind.endswith("List") and "items" in data


def _unwrap(document: Document, depth: int) -> Iterator[Document]:
    """The items of a List or of a typed list (API conventions, "Lists and simple kinds"); anything else as it is."""
    data, place = document.data, document.place
    if not _is_list(data):
        yield document
        return
    kind: str = data["kind"]
    items = data["items"] if data["items"] is not None else []
    if not isinstance(items, (list, JsonItems)):
        raise InputError(f"{kind!a} without a list", where=(*place, "items"), remedy="items must be a list of objects")
    if depth >= MAX_DEPTH:
        raise InputError("lists inside lists", where=place, remedy="Unwrap them")
    taken, scope, began, gaps = _snapshot(document)
    # A typed list of the API leaves kind and apiVersion of its items out: the list's own say it.
    item_kind = {"kind": kind.removesuffix("List"), "apiVersion": data.get("apiVersion")} if kind != "List" else {}
    look = (*document.look, *place[1:])
    for index, item in enumerate(items if isinstance(items, list) else _inside(place[0], items)):
        where = (*place, f"items[{index}]")
        if not isinstance(item, dict):
            raise InputError("is not an object", where=where, remedy="items must be a list of objects")
        whole = item if not item_kind or "kind" in item else {**item_kind, **item}
        span = _span(whole, where, taken) if began else None
        inner = Document(where, whole, look, taken, scope, began, gaps, span)
        if _is_list(whole):
            yield from _unwrap(inner, depth + 1)
        else:
            yield inner


def _snapshot(document: Document) -> tuple[str, str, str, str]:
    """When a list was taken and what it holds; if it is a history, when it began and how often it was interrupted."""
    metadata = document.data.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if not isinstance(annotations, dict):
        return document.taken, document.scope, document.began, document.gaps
    names = (TAKEN_ANNOTATION, SCOPE_ANNOTATION, BEGAN_ANNOTATION, GAPS_ANNOTATION)
    taken, scope, began, gaps = texts = tuple(annotations.get(name, "") for name in names)
    if not all(isinstance(text, str) for text in texts):
        raise InputError("is not text", where=(*document.place, "metadata.annotations"), remedy="Put it in quotes")
    return taken, scope, began, gaps


def _span(item: dict[str, Any], place: tuple[str, ...], taken: str) -> Span:
    metadata = item.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    try:
        return read_span(annotations if isinstance(annotations, dict) else {}, taken)
    except InputError as error:
        raise error.inside(*place, "metadata.annotations") from None
