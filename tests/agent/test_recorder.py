"""Real captures through the filter and the recorder give the rows that they give when every packet is read."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from netpol.agent.recorder import Observer, Recorder
from netpol.capture import bpf
from netpol.capture.live_filter import live_program
from netpol.capture.packets import Tally
from netpol.capture.read import read_packets
from netpol.capture.sources import container_of, find_inputs
from netpol.flows.assemble import assemble
from netpol.flows.limits import SECOND
from netpol.model.flow import Outcome
from tests.agent.live_world import rows
from tests.capture.bpf_machine import execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.capture.records import Records
    from netpol.dataset.window import Window

_CAPTURES = Path(__file__).resolve().parents[2] / "captures"
_HEADERS = {1: (12, 14), 113: (14, 16), 276: (0, 20)}
"""By LINKTYPE_: where the EtherType stands, and where the packet."""
_OBSERVER = Observer(name="node-a", run="0" * 32, version="1")
_program = cache(live_program)


def admitted(records: Records) -> Records:
    """What the kernel would hand over, without a sample."""
    assert isinstance(records.linktype, int)
    type_at, packet_at = _HEADERS[records.linktype]
    kept = np.zeros(len(records), np.int64)
    for row, (at, captured) in enumerate(zip(records.at.tolist(), records.captured.tolist(), strict=True)):
        frame = records.data[at : at + captured].tobytes()
        ethertype = int.from_bytes(frame[type_at : type_at + 2], "big")
        known = {bpf.PROTOCOL: ethertype, bpf.INTERFACE: 5, bpf.PACKET_TYPE: 0, bpf.RANDOM: 1}
        size = execute(_program(0), frame[packet_at:], known)
        kept[row] = min(captured, packet_at + size) if size else 0
    return replace(records.chosen(kept > 0), captured=kept[kept > 0])


def recorded(path: Path, length: int) -> Iterator[Window]:
    recorder: Recorder | None = None
    now = 0
    for where in find_inputs([path]):
        source = where.open()
        try:
            for records in container_of(source, Tally()).records(source, lambda: 1 << 20):
                recorder = recorder or Recorder(_OBSERVER, length, int(records.time[0]))
                yield from recorder.take(admitted(records))
                now = max(now, int(records.time.max()))
        finally:
            source.close()
    assert recorder is not None
    # As an agent does when it is told to stop, it listens until the last handshake is settled.
    yield from recorder.tick(now + 4 * SECOND)
    yield recorder.close(now + 4 * SECOND, last=True)


@pytest.mark.parametrize("length", [SECOND, 60 * SECOND])
@pytest.mark.parametrize("path", sorted(_CAPTURES.rglob("*.pcap*")), ids=lambda path: path.name)
def test_rows_are_those_of_every_packet(path: Path, length: int) -> None:
    """But for what was open before the capture began, of which only a sample would be seen."""
    windows = list(recorded(path, length))
    agent = assemble(window.records for window in windows)
    full = assemble(read_packets([path], Tally()))
    middle = Outcome.MIDSTREAM.label
    assert {row for row in rows(agent) if row[4] != middle} == {row for row in rows(full) if row[4] != middle}
    assert sum(window.packets for window in windows) < sum(flow.packets for flow in full)
