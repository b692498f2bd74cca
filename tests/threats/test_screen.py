"""How much lists are asked, whatever the captures say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.names.table import Names
from netpol.threats.lists import Threats, load
from netpol.threats.screen import Screen
from tests.graph.world import flow, pod
from tests.names.test_table import SERVER, T, answer

if TYPE_CHECKING:
    from pathlib import Path

    from netpol.model.host_name import HostName
    from netpol.threats.lists import Match

WEB = pod("web-1", {"app": "web"}, owner="web", address="10.0.0.1")


class Counting(Threats):
    """Keeps the names that it is asked for."""

    asked: list[HostName]

    def host(self, name: HostName) -> Match | None:
        self.asked.append(name)
        return super().host(name)


def test_each_name_is_held_against_the_lists_once_and_not_for_each_connection(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("evil.example\n")
    threats, names = Counting([load(path)]), Names()
    threats.asked = []
    zone = {f"n{index}.zone.example" for index in range(200)} | {"evil.example"}
    for name in sorted(zone):
        answer(names, name, SERVER, client="10.0.0.1")
    screen = Screen(threats, names)
    flows = [flow(WEB, SERVER, 443, at=T / 1e9 + second) for second in range(30)]
    screen.look(flows)
    assert all(screen.bars(item) for item in flows)
    assert [hit.name for hit in screen.hits] == ["evil.example"]
    assert len(threats.asked) <= len(zone) + len(flows)


def test_the_order_in_which_names_were_met_decides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("b.example\na.example\n")
    other = pod("api-1", {"app": "api"}, owner="api", address="10.0.0.2")
    for order in (("a.example", "b.example"), ("b.example", "a.example")):
        names = Names()
        for name in order:
            answer(names, name, SERVER, client="10.0.0.1")
        screen = Screen(Threats([load(path)]), names)
        nameless = flow(other, SERVER, 443, at=T / 1e9)
        screen.look([nameless])
        assert screen.bars(nameless)
        assert [(hit.name, hit.by, hit.match.line) for hit in screen.hits] == [("a.example", "same-address", 2)]
