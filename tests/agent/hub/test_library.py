"""What readers get of a running hub: a dataset that reads like the hub's own folder, and nothing else of its disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from netpol.agent.hub.listing import listing
from netpol.capture.packets import Tally
from netpol.dataset.folder import Dataset
from netpol.dataset.window import Losses
from tests.agent.hub import processes
from tests.agent.hub.processes import WRITER, Hub
from tests.agent.hub.windows import MINUTE, body, this_minute, window
from tests.cluster.watching import wait_until

HOUR = 60 * MINUTE


def wait_until_kept(hub: Hub) -> None:
    wait_until(lambda: hub.get("/v1/status").json["waiting"]["windows"] == 0, "no window waits", lambda: hub.lines)


def copy(hub: Hub, folder: Path, query: str = "") -> list[dict[str, Any]]:
    """Downloads what is listed, as any program could."""
    found = hub.get(f"/v1/dataset{query}").json
    folder.mkdir()
    (folder / "dataset.json").write_text('{"format": "netpol-dataset", "version": 1}')
    files: list[dict[str, Any]] = found["files"]
    for each in files:
        answer = hub.get(f"/v1/files/{each['name']}")
        assert (answer.status, len(answer.data)) == (200, each["size"])
        path = folder / each["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(answer.data)
    return files


def test_a_copy_reads_like_the_original(tmp_path: Path) -> None:
    with processes.hub(tmp_path / "data", "--batch-seconds", "1") as hub:
        begins = [this_minute() - hours * HOUR for hours in (5, 3, 1)]
        for number, begin in enumerate(begins):
            assert hub.send(*body(number=number, begin=begin, connections=30)).status == 200
        wait_until_kept(hub)
        copy(hub, tmp_path / "all")
        original = Dataset.open(tmp_path / "data")
        copied = Dataset.open(tmp_path / "all")
        assert list(copied.identities()) == list(original.identities())
        assert sum(len(each) for each in copied.read(tally=Tally())) == 90
        copy(hub, tmp_path / "some", f"?since={begins[1]}&until={begins[2] // HOUR * HOUR}")
        assert len(list(Dataset.open(tmp_path / "some").identities())) == 1
        assert hub.get(f"/v1/dataset?since={begins[2] + 2 * HOUR}").json["files"] == []
        assert hub.get("/v1/dataset?since=yesterday").status == 400


@pytest.mark.parametrize(
    "name",
    [
        "../state.sqlite",
        "state.sqlite",
        "hub.lock",
        "inbox/x.window",
        "windows/date=2026-01-01/hour=00/../../../state.sqlite",
        "windows/date=2026-01-01/hour=00/%2e%2e/%2e%2e/%2e%2e/state.sqlite",
        "windows/date=2026-01-01/hour=00/" + "0" * 32 + ".parquet%00",
        "windows/date=2026-01-01/hour=00/" + "0" * 32 + ".parquet%0a",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "windows/date=2026-01-01/hour=00/" + "0" * 32 + ".parquet",
        "",
    ],
)
def test_nothing_else_is_given_away(hub: Hub, name: str) -> None:
    for answer in (hub.get(f"/v1/files/{name}"), hub.get(f"/v1/files/../{name}")):
        assert answer.status == 404
        assert answer.json.keys() == {"error"}


def test_links_are_not_followed(tmp_path: Path) -> None:
    with processes.hub(tmp_path / "data") as hub:
        name = "windows/date=2026-01-01/hour=00/" + "0" * 32 + ".parquet"
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True)
        path.symlink_to(tmp_path / "data.tokens")
        assert hub.get(f"/v1/files/{name}").status == 404


@pytest.mark.parametrize("target", ["/v1/dataset", "/v1/status", "/v1/files/x"])
def test_only_readers_read(hub: Hub, target: str) -> None:
    assert hub.get(target, "").status == 401
    assert hub.get(target, "x" * 40).status == 401
    assert hub.get(target, WRITER).status == 403
    if target in {"/v1/dataset", "/v1/status"}:
        assert hub.ask("GET", target, x_netpol_token=processes.READER).status == 200


def test_files_that_others_replace_are_never_listed_without_their_companions(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "data")
    assert listing(tmp_path / "data") == []
    dataset.append([window(number=1)])
    (windows, connections, names) = listing(tmp_path / "data")
    assert [each.name.split("/")[0] for each in (windows, connections, names)] == ["windows", "connections", "names"]
    assert len({each.name.rpartition("/")[2] for each in (windows, connections, names)}) == 1


def test_the_status_of_each_node(tmp_path: Path) -> None:
    with processes.hub(tmp_path / "data") as hub:
        begin = this_minute()
        losses = Losses(kernel=5, evicted=4, undecodable={"cut off": 3}, windows=2, records=1)
        assert hub.send(*body(observer="b", number=0, begin=begin - 5 * MINUTE, connections=2)).status == 200
        assert hub.send(*body(observer="b", number=4, begin=begin, connections=5, losses=losses)).status == 200
        assert hub.send(*body(observer="a", run="9" * 32, begin=begin - MINUTE, version="0.2")).status == 200
        found = hub.get("/v1/status").json
        assert [node["node"] for node in found["nodes"]] == ["a", "b"]
        other, node = found["nodes"]
        assert node["drops"] == {
            "kernel": 5,
            "evicted": 4,
            "undecodable": 3,
            "windows_given_up": 2,
            "records_given_up": 1,
            "windows_missing": 3,
        }
        assert (node["records"], node["windows"], node["packets"], node["interfaces"]) == (7, 2, 21, 3)
        assert (other["version"], other["lag_seconds"] - node["lag_seconds"]) == ("0.2", 60)
        assert not any(other["drops"].values())
