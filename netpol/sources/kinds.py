"""Tells by its first lines which flow log a file is: never by its name."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

import msgspec

from netpol.sources import verdicts, vpc
from netpol.sources.lines import Line
from netpol.sources.objects import first_element, objects


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

    @property
    def is_json(self) -> bool:
        """An object each; the VPC CNI's are so in its own file."""
        return self not in {Kind.ZEEK, Kind.CONNTRACK, Kind.VPC}


_STAMP: Final = r"(?:\[\d{1,10}\.\d{1,9}\s*\]\s*)?"
_CONNTRACK: Final = re.compile(
    rf"\s*{_STAMP}(?:\[(?:NEW|UPDATE|DESTROY)\]\s+)?(?:ipv[46]\s+\d+\s+)?[a-z0-9-]+\s+\d+\s+.*\bsrc=\S+\s+dst=\S+",
    re.ASCII,
)
_LONGEST_ENTRY: Final = 1 << 10
"""Bytes of a line of text that are looked at: no entry of conntrack and no record of version 2 is longer."""
_VPC: Final = re.compile(r"(?:\d{4}-\S{15,30} )?\d{1,2} (?:\d{12}|unknown) eni-\S+( \S+){11}", re.ASCII)


_NAMES_OF_GKE: Final = {"connection", "disposition"}
_NAMES: Final = (
    (Kind.ZEEK_JSON, {"id.orig_h"}),
    (Kind.VPC_CNI, {"Src IP", "Dest IP", "Verdict"}),
    (Kind.GKE, _NAMES_OF_GKE),
    (Kind.CALICO, {"reporter", "action", "dest_port"}),
    (Kind.CALICO, {"Key", "start_time"}),
    *((Kind.INSPEKTOR, {"src", "dst", name}) for name in ("operation", "qr", "type")),
)
"""Fields that no other log has together."""


def kind_of(head: bytes) -> Kind | None:
    """The log that begins so, None where it is none that netpol reads.

    Args:
        head: Its first bytes, unpacked; some thousands are enough.
    """
    texts = [Line(number, line) for number, line in enumerate(head.split(b"\n"), 1) if line.strip()]
    whole = texts if head.endswith(b"\n") or len(texts) == 1 else texts[:-1] or texts
    found = (_kind_of_line(text.strip()) for _, text in objects(whole) if text is not None)
    return next((kind for kind in found if kind is not None), None)


def _kind_of_line(raw: bytes) -> Kind | None:
    if raw.startswith((b"{", b"data:", b"[{", b"[ {")):
        return _kind_of_object(first_element(raw) or raw.removeprefix(b"data:"))
    try:
        line = raw[:_LONGEST_ENTRY].decode("ascii")
    except UnicodeDecodeError:
        return None
    if line.startswith(("#separator ", "#fields\t")):
        return Kind.ZEEK
    if _VPC.fullmatch(line) or vpc.heading(line) is not None:
        return Kind.VPC
    if verdicts.CLOUDWATCH.fullmatch(line):
        return Kind.VPC_CNI
    return Kind.CONNTRACK if _CONNTRACK.match(line) else None


def _kind_of_object(raw: bytes) -> Kind | None:
    try:
        found: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    names = found.keys()
    flow, payload, message = found.get("flow"), found.get("jsonPayload"), found.get("msg")
    told = next((kind for kind, needed in _NAMES if needed <= names), None)
    if told is not None:
        return told
    if isinstance(flow, dict) and flow.keys() & {"Key", "key"}:
        return Kind.CALICO
    if isinstance(message, str) and verdicts.AGENTS_MESSAGE.fullmatch(message):
        return Kind.VPC_CNI
    if isinstance(payload, dict) and payload.keys() >= _NAMES_OF_GKE:
        return Kind.GKE
    observer = names & {"lost_events", "node_status", "agent_event", "debug_event"}
    bare = "IP" in names and names & {"l4", "l7", "verdict"}
    return Kind.HUBBLE if isinstance(flow, dict) or observer or bare else None
