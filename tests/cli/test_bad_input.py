"""Bad input: one clear message with the place, exit code 2, no traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.traffic import NOON, Traffic

if TYPE_CHECKING:
    from tests.cli.conftest import Netpol

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default, labels: {app: web}}
spec: {containers: [{name: web, ports: [{containerPort: %s}]}]}
status: {podIP: 10.0.0.1, phase: Running}
"""


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    traffic = Traffic()
    traffic.tcp("10.0.0.2", "10.0.0.1", 80)
    return traffic.write(tmp_path / "one.pcap")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"hello\n", "not a capture, but text"),
        (b"\x7fELF\x02\x01\x01" + bytes(20), "a program"),
        (b"\x1f\x8b\x08\x00broken", "gzip"),
        (b"\x28\xb5\x2f\xfdbroken", "zstd"),
    ],
)
@pytest.mark.parametrize("command", ["flows", "learn"])
def test_what_is_no_capture(
    netpol: Netpol, sample: Path, tmp_path: Path, command: str, content: bytes, said: str
) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(content)
    answer = netpol(command, path, "--cluster", sample / "cluster.yaml")
    assert (answer.code, answer.out) == (2, "")
    assert str(path) in answer.err
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_a_capture_that_is_cut_off_is_used_up_to_there(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    whole = (shop / "node-a.pcap").read_bytes()
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(whole[:-7])
    answer = netpol("learn", cut, "--cluster", sample / "cluster.yaml")
    assert answer.code == 0
    assert "cut.pcap" in answer.err
    assert "1 lost" in answer.err


def test_a_record_that_no_capture_can_hold_is_an_error_after_what_came_before_it(
    netpol: Netpol, shop: Path, tmp_path: Path
) -> None:
    whole = (shop / "node-a.pcap").read_bytes()
    broken = tmp_path / "broken.pcap"
    second = 24 + 16 + int.from_bytes(whole[32:36], "little")
    broken.write_bytes(whole[: second + 8] + b"\xff\xff\xff\x7f" + whole[second + 12 :])
    answer = netpol("flows", broken, "-o", "json")
    assert answer.code == 2
    assert len(answer.out.splitlines()) == 1
    assert f"broken.pcap: byte {second}: a record claims 2147483647 captured bytes" in answer.err


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("a: [", "not valid YAML"),
        (POD % "70000", "containerPort"),
        (POD % "eighty", "containerPort"),
        ("kind: Pod\nkind: Pod\n", "twice"),
        ("!!python/object/apply:os.system ['true']", ""),
        ("a: &a [*a]", ""),
        ("&a a: [*b]", ""),
        ("\x00", ""),
    ],
)
def test_bad_manifests(netpol: Netpol, capture: Path, tmp_path: Path, manifest: str, said: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(manifest)
    answer = netpol("learn", capture, "--cluster", path)
    assert (answer.code, answer.out) == (2, "")
    assert str(path) in answer.err
    assert said in answer.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("learn",),
        ("learn", "CAPTURE", "--cluster", "CLUSTER", "--directions", "sideways"),
        ("learn", "CAPTURE", "--cluster", "CLUSTER", "-n", "a", "-A"),
        ("learn", "-", "--cluster", "-"),
        ("learn", "-", "-", "--cluster", "CLUSTER"),
        ("learn", "CAPTURE", "--cluster", "missing.yaml"),
        ("learn", "missing.pcap", "--cluster", "CLUSTER"),
        ("flows", "CAPTURE", "-o", "xml"),
        ("flows", "CAPTURE", "-n", "default"),
        ("check", "CAPTURE", "--cluster", "CLUSTER"),
        ("check", "CAPTURE", "--cluster", "CLUSTER", "--policies", "CLUSTER"),
        ("nonsense",),
    ],
    ids=" ".join,
)
def test_wrong_usage(netpol: Netpol, capture: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text(POD % "80")
    names = {"CAPTURE": str(capture), "CLUSTER": str(cluster)}
    answer = netpol(*(names.get(word, word) for word in arguments))
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.strip()
    assert "Traceback" not in answer.err


def test_no_cluster_is_exit_code_3(netpol: Netpol, capture: Path, tmp_path: Path) -> None:
    answer = netpol("learn", capture, "--kubeconfig", tmp_path / "none")
    assert answer.code == 3
    assert "--cluster" in answer.err


def test_names_from_manifests_cannot_drive_the_terminal(netpol: Netpol, tmp_path: Path) -> None:
    path = tmp_path / "\x1b[31mred.pcap"
    path.write_bytes(b"\x1b]0;title\x07")
    answer = netpol("flows", path)
    assert answer.code == 2
    assert "\x1b" not in answer.err
    assert "\x07" not in answer.err


@pytest.mark.parametrize("name", ["../../escape", "/etc/passwd", "a\nb: c", "-rf", "UPPER", "a" * 300])
def test_names_from_manifests_are_no_paths_and_no_yaml(
    netpol: Netpol, capture: Path, tmp_path: Path, name: str
) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {"containers": []},
        "status": {"podIP": "10.0.0.1", "phase": "Running"},
    }
    cluster, out = tmp_path / "cluster.json", tmp_path / "out"
    cluster.write_text(json.dumps(pod))
    answer = netpol("learn", capture, "--cluster", cluster, "-d", out)
    assert answer.code == 2
    assert not out.exists()
    assert "metadata.name" in answer.err


def test_a_pod_that_began_after_the_capture_is_not_who_was_captured(
    netpol: Netpol, capture: Path, tmp_path: Path
) -> None:
    cluster = tmp_path / "cluster.yaml"
    late = "2027-01-01T00:00:00Z"
    assert NOON < 1_798_761_600  # which is `late`
    cluster.write_text((POD % "80").replace("podIP", f'startTime: "{late}", podIP'))
    answer = netpol("learn", capture, "--cluster", cluster)
    assert answer.code == 0
    assert answer.out == ""
    assert "unknown-end 1" in answer.err
