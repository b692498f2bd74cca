"""`netpol learn` on the sample shop: real programs, captured on two nodes."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from netpol.view import page

if TYPE_CHECKING:
    from tests.cli.conftest import Netpol

CLUSTER = "cluster.yaml"


def meaning(folder: Path) -> dict[tuple[str, str], Any]:
    """Policies by namespace and name, as sets: what they say, whatever the order in which they say it."""
    return {
        (document["metadata"]["namespace"], document["metadata"]["name"]): _meaning_of(document)
        for path in sorted(folder.glob("*/*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
    }


def _meaning_of(document: dict[str, Any]) -> tuple[Any, ...]:
    spec = document["spec"]
    return (
        document["apiVersion"],
        document["metadata"]["labels"],
        spec["podSelector"],
        sorted(spec["policyTypes"]),
        *(
            {
                (json.dumps(peer, sort_keys=True), json.dumps(port, sort_keys=True))
                for rule in spec.get(side) or []
                for peer in rule[peers]
                for port in rule["ports"]
            }
            for side, peers in (("ingress", "from"), ("egress", "to"))
        ),
    )


def test_the_policies_are_exactly_the_expected_ones(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path)
    assert answer.code == 0, answer.err
    assert answer.out == ""
    assert meaning(tmp_path) == meaning(sample / "expected")


def test_every_connection_is_accounted_for_as_its_driver_tells_it(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    assert netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path).code == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    truth = json.loads((sample / "truth.json").read_text())["connections"]
    learned = sum(row["connections"] for row in truth if row["purpose"] == "shop")
    # The scan also met an open port that web uses anyway: such a connection is not new, so it is no more suspicious.
    known = {(row["source"], row["destination"], row["port"]) for row in truth if row["purpose"] == "shop"}
    also = sum(
        row["connections"]
        for row in truth
        if row["purpose"] == "scan"
        and row["outcome"] == "established"
        and (row["source"], row["destination"], row["port"]) in known
    )
    assert summary["learned"] == learned + also
    left_out = sum(count for group in summary["left_out"].values() for count in group.values())
    assert summary["learned"] + left_out == summary["connections"]["total"]
    assert sum(pair["connections"] for pair in summary["left_out_pairs"]) == left_out


def test_the_packet_count_is_capinfos_count(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    if shutil.which("capinfos") is None:
        pytest.skip("capinfos is not installed")
    assert netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path).code == 0
    packets = json.loads((tmp_path / "summary.json").read_text())["packets"]
    printed = subprocess.run(
        ["capinfos", "-TMrc", *sorted(map(str, shop.iterdir()))], capture_output=True, text=True, check=True
    ).stdout
    assert packets["read"] == sum(int(line.split("\t")[1]) for line in printed.splitlines())
    assert packets["read"] == packets["decoded"] + sum(packets["undecoded"].values())


def test_the_scanner_is_named_and_what_it_found_is_quarantined(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    assert netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path).code == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [scanner["source"].rsplit("-", 2)[0] for scanner in summary["scanners"]] == ["shop/web"]
    assert summary["left_out"]["quarantined"] == {"unknown-direction": 1, "scan": 1}


def test_silence_is_told_first(netpol: Netpol, shop: Path, sample: Path) -> None:
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER)
    lines = answer.err.splitlines()
    assert lines[0].startswith("Closed on silence alone")
    assert "TCP/9090 is declared" in lines[1]


def test_stdout_is_yaml_and_nothing_else(netpol: Netpol, shop: Path, sample: Path) -> None:
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER)
    documents = list(yaml.safe_load_all(answer.out))
    assert {document["kind"] for document in documents} == {"NetworkPolicy"}
    assert len(documents) == len(meaning(sample / "expected"))


def test_order_and_packing_of_captures_do_not_change_a_byte(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "any-name.txt.gz"
    packed.write_bytes(gzip.compress((shop / "node-a.pcap").read_bytes()))
    first = netpol("learn", shop / "node-a.pcap", shop / "node-b.pcapng.gz", "--cluster", sample / CLUSTER)
    second = netpol("learn", shop / "node-b.pcapng.gz", packed, "--cluster", sample / CLUSTER)
    assert first == second


def test_one_node_alone_gives_no_rule_that_both_do_not_give(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    both, one = tmp_path / "both", tmp_path / "one"
    assert netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", both).code == 0
    assert netpol("learn", shop / "node-a.pcap", "--cluster", sample / CLUSTER, "-d", one).code == 0
    whole, part = meaning(both), meaning(one)
    for key, policy in part.items():
        assert policy[-2] <= whole[key][-2], key
        assert policy[-1] <= whole[key][-1], key


def test_observed_directions_leave_the_others_open(netpol: Netpol, shop: Path, sample: Path) -> None:
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "--directions", "observed")
    types = {
        document["metadata"]["name"]: document["spec"]["policyTypes"] for document in yaml.safe_load_all(answer.out)
    }
    assert types["postgres"] == ["Ingress"]
    assert types["report"] == ["Egress"]
    assert types["web"] == ["Ingress", "Egress"]
    assert "Closed on silence" not in answer.err.replace("TCP/9090", "")


def test_default_deny_closes_the_rest_of_each_namespace(netpol: Netpol, shop: Path, sample: Path) -> None:
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "--default-deny")
    denying = [document for document in yaml.safe_load_all(answer.out) if document["spec"]["podSelector"] == {}]
    assert sorted(document["metadata"]["namespace"] for document in denying) == ["data", "monitoring", "shop"]
    for document in denying:
        assert document["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert not document["spec"]["ingress"]
        assert not document["spec"]["egress"]


def test_a_namespace_alone_and_system_namespaces_when_asked(netpol: Netpol, shop: Path, sample: Path) -> None:
    def namespaces(*options: str) -> Counter[str]:
        answer = netpol("learn", shop, "--cluster", sample / CLUSTER, *options)
        return Counter(document["metadata"]["namespace"] for document in yaml.safe_load_all(answer.out))

    assert namespaces("-n", "data") == {"data": 2}
    assert namespaces("-n", "kube-system") == {"kube-system": 1}
    assert namespaces("--system")["kube-system"] == 1


def test_a_second_run_writes_the_same_bytes(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    def files() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    assert netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path).code == 0
    before = files()
    assert netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path).code == 0
    assert files() == before


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("shop/web.yaml", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web}\nspec: {}\n"),
        ("kustomization.yaml", "resources: [mine.yaml]\n"),
        ("summary.json", "{}"),
    ],
)
def test_what_others_wrote_is_never_overwritten(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path, path: str, text: str
) -> None:
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text(text)
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path)
    assert answer.code == 2
    assert path in answer.err
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [tmp_path / path]
    assert (tmp_path / path).read_text() == text


@pytest.mark.usefixtures("page_is_built")
def test_the_graph_is_written_as_a_page_judged_by_what_was_learned(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    assert netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path).code == 0
    learned = (tmp_path / "graph.html").read_text()
    # The same captures, judged by the same policies: those that the graph learns by itself.
    assert netpol("graph", shop, "--cluster", sample / CLUSTER, "-o", "html").out == learned
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "graph.html").write_text("<p>mine</p>")
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path / "mine")
    assert answer.code == 2
    assert "graph.html" in answer.err


@pytest.mark.usefixtures("page_is_built")
def test_the_page_tells_new_from_old_where_there_were_policies(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    existing = sample / "existing.yaml"
    assert netpol("learn", shop, "--cluster", sample / CLUSTER, "--existing", existing, "-d", tmp_path).code == 0
    written = (tmp_path / "graph.html").read_text()
    assert '"compared": true' in written
    (data,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', written, re.DOTALL)
    # The policies of today deny the shop's front its DNS, which worked and was learned.
    assert {(edge["source"], edge["label"]) for edge in json.loads(data)["edges"] if edge["state"] == "new"} >= {
        ("shop/web[Deployment]", "UDP/53")
    }


def test_without_the_viewer_everything_else_is_written(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netpol.view.page._file", lambda: tmp_path / "page.html")
    page._shell.cache_clear()
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path / "out")
    page._shell.cache_clear()
    assert answer.code == 0
    assert "graph.html is not written: this installation of netpol has no HTML viewer" in answer.err
    assert {path.name for path in (tmp_path / "out").iterdir() if path.is_file()} == {
        "REVIEW.md", "kustomization.yaml", "summary.json",
    }  # fmt: skip


def test_what_an_earlier_run_left_behind_is_named(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    assert netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path).code == 0
    left = tmp_path / "shop" / "gone.yaml"
    left.write_text((tmp_path / "shop" / "web.yaml").read_text().replace("name: web\n", "name: gone\n", 1))
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path)
    assert answer.code == 0
    assert "shop/gone.yaml: written by an earlier run" in answer.err
    assert left.exists()
    assert "gone" not in (tmp_path / "kustomization.yaml").read_text()
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path, "--prune")
    assert "shop/gone.yaml: deleted" in answer.err
    assert not left.exists()


def test_what_was_not_asked_for_is_left_alone(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    assert netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path).code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.yaml")}
    for more in (["-n", "data"], ["-l", "app=redis"]):
        answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path, "--prune", *more)
        assert answer.code == 0
        assert "earlier run" not in answer.err
        assert {path: path.read_bytes() for path in tmp_path.rglob("*.yaml")} == before


def test_kubectl_reads_the_kustomization_in_the_same_way(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    assert netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path).code == 0
    kustomization = yaml.safe_load((tmp_path / "kustomization.yaml").read_text())
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*.yaml"))
    assert kustomization["resources"] == found
