"""`netpol learn` beside policies that are there already: the sample shop with existing policies of several shapes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from tests.cli.conftest import Netpol

CLUSTER = "cluster.yaml"

HAND = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-shop, namespace: data}
spec:
  podSelector: {matchLabels: {app: postgres}}
  policyTypes: [Ingress]
  ingress:
    - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}]
      ports: [{port: 5432}]
    - from: [{ipBlock: {cidr: 10.99.0.0/16}}]
      ports: [{port: 5432}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/name: web}}
  policyTypes: [Egress]
  egress:
    - to: [{podSelector: {matchLabels: {app.kubernetes.io/name: api}}}]
      ports: [{port: 3000}]
"""

OWN = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: report, namespace: shop, labels: {app.kubernetes.io/managed-by: netpol}}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/name: report}}
  policyTypes: [Ingress, Egress]
  egress:
    - to: [{ipBlock: {cidr: 198.51.100.21/32}}]
      ports: [{port: 8443}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: yearly, namespace: shop, labels: {app.kubernetes.io/managed-by: netpol, team: x}}
spec:
  podSelector: {matchLabels: {app: yearly}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: api}}}]}]
"""


@pytest.fixture
def hand(tmp_path: Path) -> Path:
    path = tmp_path / "hand.yaml"
    path.write_text(HAND)
    return path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    return path


def documents(text: str) -> dict[str, Any]:
    return {
        f"{document['metadata']['namespace']}/{document['metadata']['name']}": document
        for document in yaml.safe_load_all(text)
    }


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.yaml")}


def existing(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())["existing"]
    return found


def test_without_existing_policies_nothing_is_said_of_them(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    for more in ([], ["--existing", "none"]):
        answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path, *more)
        assert answer.code == 0
        assert existing(tmp_path) is None
        assert "existing" not in answer.err


def test_what_people_wrote_is_never_written_and_its_name_is_not_used(
    netpol: Netpol, shop: Path, sample: Path, hand: Path
) -> None:
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "--existing", hand)
    assert answer.code == 0, answer.err
    found = documents(answer.out)
    assert "shop/web" not in found
    assert "data/allow-shop" not in found
    (name,) = (name for name in found if name.startswith("shop/web-"))
    assert f"{name}: a policy that netpol did not write is called shop/web" in answer.err
    for document in found.values():
        assert document["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "netpol"


def test_the_account_of_existing_policies(netpol: Netpol, shop: Path, sample: Path, hand: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "--existing", hand, "-d", out)
    found = existing(out)
    assert found["policies"] == {"managed": 0, "hand_written": 2, "cluster_wide": 0}
    denied = {(item["source"], item["destination"]): item for item in found["denied_today"]}
    # DNS is needed and not in the hand-written policy; PostgreSQL was met by the scan alone, which is not learned.
    dns = denied["shop/web[Deployment]", "kube-system/coredns[Deployment]"]
    assert (dns["ports"], dns["allowed_after"]) == (["UDP/53"], ["UDP/53"])
    scanned = denied["shop/web[Deployment]", "data/postgres[StatefulSet]"]
    assert scanned["allowed_after"] == []
    assert "shop/web" in scanned["denied_after_by"]
    assert found["unexercised"] == [
        {"policy": "data/allow-shop", "rule": "spec.ingress[1]", "managed": False, "attempts": 0}
    ]
    assert found["redundant"] == ["shop/web"]
    (keeping,) = found["keeps_open"]
    assert keeping["policy"] == "data/allow-shop"
    # admin is in the namespace, has no learned policy and was never seen at the database.
    ends = {(item["source"], item["destination"]) for item in keeping["examples"]}
    assert ("shop/admin[Deployment]", "data/postgres[StatefulSet]") in ends
    assert ("10.99.0.0/16", "data/postgres[StatefulSet]") in ends
    for line in ("Worked in the capture, and is denied", "Kept open by policies", "Rules that nothing exercised, 1 in"):
        assert line in answer.err
    assert (
        "Superfluous once these policies are applied, 1 in all; they can be deleted together:\n  shop/web" in answer.err
    )


def test_the_figures_are_those_of_the_cluster_before_and_after(
    netpol: Netpol, shop: Path, sample: Path, hand: Path, tmp_path: Path
) -> None:
    def figures(*more: str | Path) -> Any:
        assert netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path / "out", *more).code == 0
        return json.loads((tmp_path / "out" / "summary.json").read_text())

    alone, beside = figures(), figures("--existing", hand)
    assert beside["pod_pair_ports"]["before"] < alone["pod_pair_ports"]["before"]
    assert beside["pod_pair_ports"]["after"] > alone["pod_pair_ports"]["after"]
    assert beside["tightness"] < alone["tightness"]
    data = beside["namespaces"]["data"]["pod_pair_ports"]
    assert data["before"] < alone["namespaces"]["data"]["pod_pair_ports"]["before"]


def test_what_netpol_wrote_earlier_is_kept_and_marked_unless_pruned(
    netpol: Netpol, shop: Path, sample: Path, own: Path
) -> None:
    def learn(*more: str | Path) -> tuple[dict[str, Any], str]:
        answer = netpol("learn", shop, "--cluster", sample / CLUSTER, *more)
        assert answer.code == 0, answer.err
        return documents(answer.out), answer.err

    alone, _ = learn()
    merged, account = learn("--existing", own)
    assert merged.keys() == {*alone, "shop/yearly"}
    report = merged["shop/report"]
    last = len(report["spec"]["egress"]) - 1
    assert report["spec"]["egress"][:-1] == alone["shop/report"]["spec"]["egress"]
    assert report["spec"]["egress"][-1]["to"] == [{"ipBlock": {"cidr": "198.51.100.21/32"}}]
    assert report["metadata"]["annotations"] == {"netpol/kept-not-exercised": f"spec.egress[{last}]"}
    assert merged["shop/yearly"]["metadata"]["annotations"] == {"netpol/kept-not-exercised": "spec"}
    assert merged["shop/yearly"]["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "netpol"}
    assert "kept            rules 1, whole policies 1" in account
    pruned, account = learn("--existing", own, "--prune")
    assert pruned == alone
    assert "shop/yearly: kubectl delete networkpolicy -n shop yearly" in account
    assert "pruned          rules 1, whole policies 1" in account


def test_learning_again_over_the_own_output_changes_no_byte(
    netpol: Netpol, shop: Path, sample: Path, own: Path, hand: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    base = ("learn", shop, "--cluster", sample / CLUSTER)
    assert netpol(*base, "--existing", own, "--existing", hand, "-d", first).code == 0
    assert netpol(*base, "--existing", first, "--existing", hand, "-d", second).code == 0
    assert files(second) == files(first)
    # In place, too.
    assert netpol(*base, "--existing", first, "--existing", hand, "-d", first).code == 0
    assert files(second) == files(first)


def test_the_folder_may_be_its_own_existing_set_from_the_first_run_on(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    out = tmp_path / "policies"
    base = ("learn", shop / "node-a.pcap", "--cluster", sample / CLUSTER, "--existing", out, "-d", out)
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "--existing", out, "-d", out)
    assert answer.code == 0
    assert "no policy there" not in answer.err
    whole = {name: document for path in out.glob("*/*.yaml") for name, document in documents(path.read_text()).items()}
    # One node sees less; what it does not see is kept.
    answer = netpol(*base)
    assert answer.code == 0
    assert "written anew" not in answer.err
    # What netpol itself put beside the policies is no news, to other commands neither.
    assert "passed over" not in answer.err
    answer = netpol("check", shop / "node-a.pcap", "--cluster", sample / CLUSTER, "--policies", out)
    assert "passed over" not in answer.err
    kept = {name: document for path in out.glob("*/*.yaml") for name, document in documents(path.read_text()).items()}
    assert kept.keys() == whole.keys()
    assert existing(out)["kept"]["rules"]
    answer = netpol(*base, "--prune")
    assert answer.code == 0
    assert existing(out)["kept"] == {"rules": [], "policies": []}
    for name in existing(out)["pruned"]["policies"]:
        assert not (out / f"{name}.yaml").exists()
        assert f"{name}.yaml: deleted" in answer.err


def test_overwriting_without_looking_is_said(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    assert netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path).code == 0
    answer = netpol("learn", shop / "node-a.pcap", "--cluster", sample / CLUSTER, "-d", tmp_path)
    assert f"--existing {tmp_path} would have kept what else they allowed" in answer.err


def test_overwriting_is_said_where_other_policies_were_looked_at(
    netpol: Netpol, shop: Path, sample: Path, hand: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    both = ("--cluster", sample / CLUSTER, "--existing", hand, "-d", out)
    assert netpol("learn", shop, *both).code == 0
    answer = netpol("learn", shop / "node-b.pcapng.gz", *both)
    assert f"--existing {out} would have kept what else they allowed" in answer.err
    # A folder around it is it, too.
    answer = netpol("learn", shop, *both, "--existing", tmp_path)
    assert "would have kept" not in answer.err


@pytest.mark.parametrize("prune", [False, True])
def test_policies_that_somebody_put_into_one_file_get_their_own_again(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path, *, prune: bool
) -> None:
    base = ("learn", shop, "--cluster", sample / CLUSTER, "--existing", tmp_path, "-d", tmp_path)
    assert netpol(*base).code == 0
    together, apart = tmp_path / "shop" / "all.yaml", [tmp_path / "shop" / f"{name}.yaml" for name in ("api", "web")]
    together.write_text("---\n".join(path.read_text() for path in apart))
    for path in apart:
        path.unlink()
    answer = netpol(*base, *(["--prune"] if prune else []))
    assert answer.code == 0
    assert all(path.exists() for path in apart)
    assert together.exists() is not prune
    said = "deleted: its policies have files of their own" if prune else "its policies have files of their own now"
    assert f"{together}: {said}" in answer.err
    assert "nothing of it was learned" not in answer.err
    assert "--existing keeps it" not in answer.err
    assert "all.yaml" not in (tmp_path / "kustomization.yaml").read_text()


@pytest.mark.parametrize("name", ["shop", "allowlists"])
def test_a_file_where_a_folder_must_be_stops_all_writing(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("mine")
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path)
    assert answer.code == 2
    assert f"would overwrite {name}, which netpol did not write" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_pruning_leaves_alone_what_people_wrote(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "shop").mkdir(parents=True)
    mine = out / "shop" / "mine.yaml"
    mine.write_text(HAND)
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", out, "--existing", out, "--prune")
    assert answer.code == 0, answer.err
    assert mine.read_text() == HAND


def test_every_source_that_diff_takes(
    netpol: Netpol, shop: Path, sample: Path, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = ("learn", shop, "--cluster", sample / CLUSTER, "--existing")
    expected = netpol(*base, own).out
    folder = tmp_path / "repository"
    (folder / "deploy").mkdir(parents=True)
    (folder / "deploy" / "own.yaml").write_text(OWN)
    (folder / "deploy" / "kustomization.yaml").write_text("kind: Kustomization\napiVersion: a/v1\n")
    answer = netpol(*base, folder)
    assert answer.out == expected
    assert "passed over" not in answer.err
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(folder)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "policies"], check=True)
    monkeypatch.chdir(folder)
    assert netpol(*base, "git:HEAD:deploy").out == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(OWN.encode())))
    assert netpol(*base, "-").out == expected


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--existing", "none", "--existing", "hand.yaml"], 2, "--existing none stands alone"),
        (["--existing", "nowhere"], 2, "nowhere: cannot be read"),
        (["--existing", "git:nowhere"], 2, "is not git:REV:PATH"),
        (["--existing", "-", "--cluster", "-"], 2, "- is named for two things"),
        (["--existing", "broken.yaml"], 2, "spec.ingress[0].ports[0].port"),
        (["--existing", "broken.yaml"], 2, "--existing none"),
        (["--existing", "live", "--kubeconfig", "nowhere"], 3, "nowhere"),
        (["--prune"], 2, "--prune has nothing to drop"),
        (["--prune", "--existing", "none"], 2, "--prune has nothing to drop"),
        (["-l", "a=b", "--default-deny"], 2, "--default-deny would close the pods that -l leaves out"),
        (["-l", "a b"], 2, "'a b' is not a label selector"),
        (["--existing", "hand.yaml", "--existing", "hand.yaml"], 2, "data/allow-shop is in"),
    ],
)
def test_what_does_not_go_says_why(
    netpol: Netpol,
    shop: Path,
    sample: Path,
    hand: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(hand.parent)
    Path("broken.yaml").write_text(HAND.replace("5432", "70000"))
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, *words)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err


def test_empty_sources_and_namespaces_left_out_are_said(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    base = ("learn", shop, "--cluster", sample / CLUSTER, "--existing")
    assert "no policy there: everything is allowed today" in netpol(*base, sample / CLUSTER).err
    path = tmp_path / "nameless.yaml"
    path.write_text(HAND.replace(", namespace: shop", "").replace(", namespace: data", ""))
    assert "2 existing policies name no namespace" in netpol(*base, path).err


def test_policies_in_the_files_of_the_cluster_are_pointed_out(
    netpol: Netpol, shop: Path, sample: Path, hand: Path
) -> None:
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "--cluster", hand)
    assert answer.code == 0
    assert "2 policies stand in the cluster's files: --existing PATH lays the result against them" in answer.err


def test_a_cluster_wide_policy_counts_as_one_of_today(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    path = tmp_path / "wide.yaml"
    path.write_text("""
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: no-database}
spec:
  tier: Admin
  priority: 10
  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: data}}}
  ingress:
    - action: Deny
      from: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}]
""")
    out = tmp_path / "out"
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "--existing", path, "-d", out)
    assert answer.code == 0, answer.err
    found = existing(out)
    assert found["policies"]["cluster_wide"] == 1
    api = next(item for item in found["denied_today"] if item["source"] == "shop/api[Deployment]")
    assert api["policies"] == api["denied_after_by"] == ["ClusterNetworkPolicy/no-database"]
    assert api["allowed_after"] == []
    assert "stays denied by ClusterNetworkPolicy/no-database" in answer.err


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("app=redis", {"data/redis"}),
        ("app in (redis,postgres)", {"data/redis", "data/postgres"}),
        ("!app,app.kubernetes.io/name notin (web,api)", {"monitoring/prometheus", "shop/report", "shop/sweep"}),
    ],
)
def test_labels_choose_who_gets_a_policy(
    netpol: Netpol, shop: Path, sample: Path, selector: str, names: set[str]
) -> None:
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "-l", selector)
    assert answer.code == 0
    assert set(documents(answer.out)) == names
    everyone = documents(netpol("learn", shop, "--cluster", sample / CLUSTER).out)
    assert documents(answer.out) == {name: everyone[name] for name in names}


def test_labels_that_no_pod_has_are_said(netpol: Netpol, shop: Path, sample: Path) -> None:
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "-l", "app=rediss")
    assert (answer.code, answer.out) == (0, "")
    assert "no pod has labels that match app=rediss" in answer.err


def test_labels_choose_flows_too(netpol: Netpol, shop: Path, sample: Path) -> None:
    answer = netpol("flows", shop, "--cluster", sample / CLUSTER, "-l", "app=redis", "-o", "json")
    rows = [json.loads(line) for line in answer.out.splitlines()]
    assert rows
    for row in rows:
        assert "data/redis[StatefulSet]" in {row["source"], row["destination"]}
    assert netpol("flows", shop, "-l", "app=redis").code == 2


def test_what_the_readme_shows_is_what_is_said(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## Clusters that have policies already") :]
    shown = section.split("```")[3].strip("\n")
    answer = netpol(
        "learn", shop, "--cluster", sample / CLUSTER, "--existing", sample / "existing.yaml", "-d", tmp_path
    )
    assert answer.code == 0
    assert shown in answer.err
