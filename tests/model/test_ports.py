from __future__ import annotations

from netpol.model.flow import TCP, UDP
from netpol.model.ports import PortMap, PortSet


def test_touching_and_overlapping_ranges_become_one() -> None:
    assert list(PortSet.of((8000, 8005), 80, (8006, 8010), (8003, 8004))) == [(80, 80), (8000, 8010)]


def test_text_is_compact() -> None:
    assert str(PortSet.of(80, (8000, 8010))) == "80,8000-8010"
    assert str(PortMap.of({UDP: PortSet.of(53), TCP: PortSet.of(80)})) == "TCP/80 UDP/53"


def test_json_has_inclusive_ranges_and_leaves_out_empty_protocols() -> None:
    ports = PortMap.of({UDP: PortSet.ALL, TCP: PortSet.of(80, (8000, 8010))})
    assert ports.to_json() == {"TCP": [[80, 80], [8000, 8010]], "UDP": [[1, 65535]]}


def test_every_port_is_65535_of_them() -> None:
    assert len(PortSet.ALL) == 65535
    assert len(PortMap.ALL) == 3 * 65535
    assert 0 not in PortSet.ALL
