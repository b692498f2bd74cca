"""Tells by its first lines which flow log a file is: never by its name."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

import msgspec

from netpol.sources import vpc


class Kind(Enum):
    """A flow log: its name in messages."""

    HUBBLE = "Hubble"
    ZEEK = "Zeek, tab-separated"
    ZEEK_JSON = "Zeek, JSON"
    CONNTRACK = "conntrack"
    VPC = "AWS VPC flow log"
    VPC_CNI = "AWS VPC CNI"
    GKE = "GKE network policy log"
    CALICO = "Calico"
    INSPEKTOR = "Inspektor Gadget"


_LINES: Final = 20
_STAMP: Final = r"(?:\[\d{1,10}\.\d{1,9}\s*\]\s*)?"
_CONNTRACK: Final = re.compile(
    rf"\s*{_STAMP}(?:\[(?:NEW|UPDATE|DESTROY)\]\s+)?(?:ipv[46]\s+\d+\s+)?[a-z0-9-]+\s+\d+\s+.*\bsrc=\S+\s+dst=\S+",
    re.ASCII,
)
_VPC: Final = re.compile(r"\d{1,2} (?:\d{12}|unknown) eni-\S+( \S+){11}", re.ASCII)


_NAMES_OF_GKE: Final = {"connection", "disposition"}
_NAMES: Final = (
    (Kind.ZEEK_JSON, {"id.orig_h"}),
    (Kind.VPC_CNI, {"Src IP", "Dest IP", "Verdict"}),
    (Kind.GKE, _NAMES_OF_GKE),
    (Kind.CALICO, {"reporter", "action", "dest_port"}),
)
"""Fields that no other log has together."""


def kind_of(head: bytes) -> Kind | None:
    """The log that begins so, None where it is none that netpol reads.

    Args:
        head: Its first bytes, unpacked; some thousands are enough.
    """
    texts = [line.strip() for line in head.split(b"\n")[:_LINES] if line.strip()]
    whole = texts if head.endswith(b"\n") or len(texts) == 1 else texts[:-1] or texts
    for raw in whole:
        kind = _kind_of_line(raw)
        if kind is not None:
            return kind
    return None


def _kind_of_line(raw: bytes) -> Kind | None:
    if raw.startswith(b"{"):
        return _kind_of_object(raw)
    try:
        line = raw.decode("ascii")
    except UnicodeDecodeError:
        return None
    if line.startswith(("#separator ", "#fields\t")):
        return Kind.ZEEK
    if _VPC.fullmatch(line) or vpc.heading(line) is not None:
        return Kind.VPC
    return Kind.CONNTRACK if _CONNTRACK.match(line) else None


def _kind_of_object(raw: bytes) -> Kind | None:
    try:
        found: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    names = found.keys()
    for kind, needed in _NAMES:
        if needed <= names:
            return kind
    payload = found.get("jsonPayload")
    if isinstance(payload, dict) and payload.keys() >= _NAMES_OF_GKE:
        return Kind.GKE
    if {"src", "dst"} <= names and names & {"type", "qr"}:
        return Kind.INSPEKTOR
    wrapped = isinstance(found.get("flow"), dict)
    observer = names & {"lost_events", "node_status", "agent_event", "debug_event"}
    if wrapped or observer or ("IP" in names and names & {"l4", "l7", "verdict"}):
        return Kind.HUBBLE
    return None
