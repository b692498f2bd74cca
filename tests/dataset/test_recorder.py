"""Captures as windows."""

from __future__ import annotations

from pathlib import Path

from netpol.capture.packets import Tally
from netpol.capture.sources import find_inputs
from netpol.dataset.recorder import record

SHOP = Path(__file__).parents[2] / "captures" / "shop"


def test_what_one_capture_lost_is_not_counted_in_the_next() -> None:
    together = Tally()
    windows = [window for each in find_inputs([SHOP]) for window in record(each, together, version="1")]
    lost = [dict(window.losses.undecodable) for window in windows]
    assert len([each for each in lost if each]) > 1
    assert sum(sum(each.values()) for each in lost) == sum(together.undecoded.values())
    assert sum(window.packets for window in windows) == together.packets
