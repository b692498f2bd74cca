"""netpol dataset, and datasets wherever a capture can stand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from netpol.dataset.folder import Dataset
from netpol.dataset.layout import CONNECTIONS, MARK
from tests.dataset.recordings import HOUR, START, connection, windows_of
from tests.dataset.test_hostile import WINDOWS, changed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Netpol

NODES = ("node-a.pcap", "node-b.pcapng.gz")


@pytest.fixture
def folder(netpol: Netpol, shop: Path, tmp_path: Path) -> Path:
    answer = netpol("dataset", "merge", tmp_path / "d", *(shop / node for node in NODES))
    assert answer.code == 0, answer.err
    return tmp_path / "d"


@pytest.mark.parametrize(
    "command",
    [
        ("learn",),
        ("flows", "-o", "json"),
        ("egress", "-o", "json"),
        ("graph", "-o", "json"),
        ("check", "--policies", "existing.yaml", "-o", "json"),
    ],
)
def test_every_command_takes_it_like_the_captures_that_it_was_made_of(
    netpol: Netpol, folder: Path, shop: Path, sample: Path, command: tuple[str, ...]
) -> None:
    words = [sample / word if word.endswith(".yaml") else word for word in command]
    name, *options = words
    captured = netpol(name, *(shop / node for node in NODES), "--cluster", sample / "cluster.yaml", *options)
    recorded = netpol(name, folder, "--cluster", sample / "cluster.yaml", *options)
    netpol("dataset", "compact", folder, "--roll-up", "--cluster", sample / "cluster.yaml")
    netpol("dataset", "prune", folder, "--max-raw-age", "0s")
    assert (recorded.code, recorded.out) == (captured.code, captured.out)
    added_up = netpol(name, folder, "--cluster", sample / "cluster.yaml", *options)
    if name in {"learn", "check"}:  # the others show times, which flows have in microseconds, and midstream directions
        assert (added_up.code, added_up.out) == (captured.code, captured.out)
    assert "warning" not in added_up.err.replace("warning: ", "", captured.err.count("warning: "))


def test_merging_again_adds_nothing(netpol: Netpol, folder: Path, shop: Path, tmp_path: Path) -> None:
    again = netpol("dataset", "merge", folder, shop / NODES[0])
    assert (again.code, again.err.split(",")[0]) == (0, "0 windows")
    copied = netpol("dataset", "merge", tmp_path / "copy", folder)
    assert copied.code == 0
    flows = [netpol("flows", path, "-o", "json").out for path in (folder, tmp_path / "copy")]
    assert flows[0] == flows[1]


def test_no_dataset_is_made_of_what_was_named_in_the_wrong_place(netpol: Netpol, shop: Path, tmp_path: Path) -> None:
    answer = netpol("dataset", "merge", shop, tmp_path / "d")
    assert (answer.code, "no such file" in answer.err) == (2, True)
    assert not (shop / MARK).exists()


def test_the_engine_of_datasets_reads_nothing_else(netpol: Netpol, folder: Path, shop: Path) -> None:
    answer = netpol("flows", folder, shop / NODES[0], "--engine", "local[2]")
    assert (answer.code, "datasets only" in answer.err) == (2, True)
    answer = netpol("flows", folder, "--engine", "abacus")
    assert (answer.code, "--engine abacus is not known" in answer.err) == (2, True)


@pytest.mark.parametrize(
    "command",
    [
        ("learn",), ("flows",), ("graph",), ("egress",), ("check", "--policies", "existing.yaml"), ("why", "shop/web"),
        ("review", "existing.yaml", "existing.yaml"),
    ],
)  # fmt: skip
def test_every_command_that_reads_datasets_takes_an_engine(
    netpol: Netpol, folder: Path, sample: Path, command: tuple[str, ...]
) -> None:
    name, *rest = (sample / word if word.endswith(".yaml") else word for word in command)
    where = [*rest, folder] if name in {"review", "why"} else [folder, *rest]
    known = ("--cluster", sample / "cluster.yaml")
    assert "--engine abacus is not known" in netpol(name, *where, *known, "--engine", "abacus").err
    assert "is not known" not in netpol(name, *where, *known, "--engine", "duckdb").err


def test_a_review_without_captures_has_nothing_to_add_up(netpol: Netpol, sample: Path) -> None:
    answer = netpol("review", sample / "existing.yaml", sample / "existing.yaml", "--engine", "spark")
    assert (answer.code, "--engine needs captures" in answer.err) == (2, True)


def test_inspect_tells_what_is_there(netpol: Netpol, folder: Path) -> None:
    said = json.loads(netpol("dataset", "inspect", folder, "-o", "json").out)
    assert (said["format"], said["version"]) == ("netpol-dataset", 1)
    assert set(said["observers"]) == set(NODES)
    assert said["tables"]["connections"]["rows"] == sum(each["records"] for each in said["observers"].values())
    assert said["tables"]["connections"]["bytes"] > 0
    assert said["hours"]["added_up"] == 0
    assert all(each["missing_windows"] == each["packets_dropped"] == 0 for each in said["observers"].values())
    text = netpol("dataset", "inspect", folder).out
    assert "OBSERVER" in text
    assert NODES[0] in text


def test_adding_up_and_pruning(netpol: Netpol, folder: Path) -> None:
    before = netpol("flows", folder, "-o", "json").out
    assert " 1 hours added up" in netpol("dataset", "compact", folder, "--roll-up").err
    assert "1 hours as recorded" in netpol("dataset", "prune", folder, "--max-raw-age", "0s").err
    said = json.loads(netpol("dataset", "inspect", folder, "-o", "json").out)
    assert (said["tables"]["connections"]["files"], said["tables"]["flows"]["files"]) == (0, 1)

    def counts(text: str) -> int:
        return sum(json.loads(line)["packets"] for line in text.splitlines())

    assert counts(netpol("flows", folder, "-o", "json").out) == counts(before)


def test_losses_are_told_on_stderr_and_in_the_summary(netpol: Netpol, tmp_path: Path, sample: Path) -> None:
    windows = windows_of(packet for number in range(9) for packet in connection(number, START + number * HOUR // 6))
    Dataset.create(tmp_path / "d").append(windows[:3] + windows[5:])
    answer = netpol("learn", tmp_path / "d", "--cluster", sample / "cluster.yaml", "-d", tmp_path / "out")
    missing = "windows missing between others of the same observer"
    assert f"{missing}: 2" in answer.err
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["packets"]["missing"] == {missing: 2}
    assert missing in (tmp_path / "out" / "REVIEW.md").read_text()


def test_a_newer_dataset_is_refused(netpol: Netpol, tmp_path: Path) -> None:
    (tmp_path / MARK).write_text('{"format": "netpol-dataset", "version": 7}')
    answer = netpol("flows", tmp_path)
    assert answer.code == 2
    assert "a dataset of version 7; this netpol reads up to version 1" in answer.err


def test_a_damaged_file_is_told_by_name(netpol: Netpol, folder: Path) -> None:
    victim = next((folder / "connections").rglob("*.parquet"))
    victim.write_bytes(victim.read_bytes()[:100])
    for command in ("flows", "dataset"):
        answer = netpol(command, *(["inspect"] if command == "dataset" else []), folder)
        assert answer.code == 2
        assert str(victim) in answer.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("inspect", "nothing"), "not a dataset"),
        (("prune", "nothing"), "nothing says what to delete"),
        (("prune", "nothing", "--max-age", "soon"), "not a dataset"),
        (("compact", "nothing", "--cluster", "x.yaml"), "--cluster needs --roll-up"),
    ],
)
def test_what_cannot_be_done_is_told(netpol: Netpol, words: tuple[str, ...], says: str) -> None:
    answer = netpol("dataset", *words)
    assert answer.code == 2
    assert says in answer.err


def test_records_that_netpol_did_not_write_are_told_by_name(netpol: Netpol, tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "d")
    dataset.append(WINDOWS)
    file = changed(tmp_path / "d", CONNECTIONS, "* REPLACE (9::UTINYINT AS side)")
    answer = netpol("flows", tmp_path / "d", "-o", "json")
    assert answer.code == 2
    assert str(file) in answer.err
    assert answer.out == ""


def test_flows_as_a_dataset_are_what_a_hub_would_keep(netpol: Netpol, folder: Path, shop: Path, sample: Path) -> None:
    known = ("--cluster", sample / "cluster.yaml")
    there = folder.parent / "flows"
    answer = netpol("flows", *(shop / node for node in NODES), *known, "-o", "parquet", "-d", there)
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.endswith(f"133 flows of 1 hours in {there}\n")
    netpol("dataset", "compact", folder, "--roll-up", *known)
    kept, written = ({str(file.relative_to(place)) for file in place.rglob("*.parquet")} for place in (folder, there))
    assert written == kept
    assert any(name.startswith("flows/date=2026-11-22/hour=03/") for name in written)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-d", "x"), "-d needs -o parquet"),
        (("-o", "parquet", "-d", "x", "--since", "1h"), "-d takes all flows"),
        (("-o", "parquet", "-d", "x", "--strict"), "-d takes all flows"),
    ],
)
def test_what_a_dataset_of_flows_does_not_take(
    netpol: Netpol, shop: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    place = str(tmp_path / "x")
    answer = netpol("flows", shop / NODES[0], *(place if word == "x" else word for word in options))
    assert answer.code == 2
    assert said in answer.err
    assert not (tmp_path / "x").exists()


def test_logs_that_name_pods_need_the_cluster(netpol: Netpol, tmp_path: Path) -> None:
    log = tmp_path / "flows.json"
    ends = {f"{end}_{name}": value for end in ("source", "dest") for name, value in
            (("name", "web-*"), ("namespace", "shop"), ("type", "wep"))}  # fmt: skip
    record = {"start_time": "2026-11-22T03:00:00Z", "end_time": "2026-11-22T03:05:00Z", "action": "Allow",
              "reporter": "Src", "protocol": "tcp", "dest_port": 80, "packets_in": 1, "packets_out": 1, "bytes_in": 1,
              "bytes_out": 1, "source_labels": "app=web", "dest_labels": "app=api", **ends}  # fmt: skip
    log.write_text(json.dumps(record) + "\n")
    answer = netpol("dataset", "merge", tmp_path / "d", log)
    assert answer.code == 0
    assert "who the pods are that logs name without addresses, --cluster knows" in answer.err
    assert answer.err.splitlines()[-1].startswith("0 windows, hours and files added")


def test_a_dataset_of_a_log_that_is_damaged_is_refused_like_the_log(netpol: Netpol, tmp_path: Path) -> None:
    log = tmp_path / "conn.log"
    known = {"ts": 5.0, "id.orig_h": "10.0.0.1", "id.orig_p": 40000, "id.resp_h": "10.0.0.2", "id.resp_p": 80,
             "proto": "tcp", "conn_state": "SF", "history": "ShADadFf", "orig_pkts": 5, "resp_pkts": 4}  # fmt: skip
    log.write_text(f'{json.dumps({"uid": "C1", **known})}\n{{"ts": 5\n')
    merged = netpol("dataset", "merge", tmp_path / "d", log)
    assert (merged.code, "line 2: not JSON" in merged.err) == (0, True)
    used = netpol("flows", tmp_path / "d", "-o", "json")
    assert (used.code, len(used.out.splitlines()), "line 2: not JSON" in used.err) == (0, 1, True)
    answers = [netpol("flows", place, "--strict") for place in (log, tmp_path / "d")]
    assert [(answer.code, answer.out) for answer in answers] == [(2, ""), (2, "")]
    assert answers[0].err == answers[1].err


def test_a_file_beside_captures_is_passed_over_once(netpol: Netpol, shop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    folder.mkdir()
    (folder / NODES[0]).write_bytes((shop / NODES[0]).read_bytes())
    (folder / "README.md").write_text("about these captures")
    answer = netpol("dataset", "merge", tmp_path / "d", folder)
    assert (answer.code, answer.err.count("README.md: no capture, passed over")) == (0, 1)
