"""`netpol diff`: every kind of side, every format, and the exit codes that gates stand on."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from netpol.cluster import live
from netpol.cluster.documents import Document
from netpol.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Netpol


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "ports": [{"name": "http", "containerPort": 8080}]}], **spec},
        "status": {"phase": "Running"},
    }


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main"}]}},
        },
    }


def web_open_to(*ports: int, note: str = "") -> dict[str, Any]:
    """Only db may reach web, on these ports."""
    rules = [{"from": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": port} for port in ports]}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "web", "namespace": "shop", **({"annotations": {"note": note}} if note else {})},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": rules if ports else []},
    }


def write(path: Path, *items: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump_all(items), encoding="utf-8")
    return path


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    return write(tmp_path / "cluster.yaml", pod("web"), pod("db"))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write(tmp_path / "old.yaml", web_open_to(80, 443))


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return write(tmp_path / "new.yaml", web_open_to(443, 8080))


DB_TO_WEB = {"source": "shop/db[Pod]", "destination": "shop/web[Pod]"}


def test_json_is_the_contract(netpol: Netpol, cluster: Path, old: Path, new: Path) -> None:
    answer = netpol("diff", old, new, "--cluster", cluster, "-o", "json")
    assert answer.code == 1
    found = json.loads(answer.out)
    assert {name: found[name] for name in ("added", "removed", "changed")} == {
        "added": [],
        "removed": [],
        "changed": [
            {**DB_TO_WEB, "before": {"TCP": [[80, 80], [443, 443]]}, "after": {"TCP": [[443, 443], [8080, 8080]]}}
        ],
    }
    assert "0 connections added, 0 removed, 1 changed" in answer.err


def test_added_and_removed_are_rows_with_an_empty_side(netpol: Netpol, cluster: Path, tmp_path: Path) -> None:
    closed, opened = write(tmp_path / "a.yaml", web_open_to()), write(tmp_path / "b.yaml", web_open_to(80))
    row = {**DB_TO_WEB, "before": {}, "after": {"TCP": [[80, 80]]}}
    found = json.loads(netpol("diff", closed, opened, "--cluster", cluster, "-o", "json").out)
    assert (found["added"], found["removed"], found["changed"]) == ([row], [], [])
    found = json.loads(netpol("diff", opened, closed, "--cluster", cluster, "-o", "json").out)
    assert found["removed"] == [{**DB_TO_WEB, "before": row["after"], "after": {}}]


@pytest.mark.parametrize("output", ["text", "json", "csv", "md"])
def test_the_same_is_0(netpol: Netpol, cluster: Path, old: Path, output: str) -> None:
    answer = netpol("diff", old, old, "--cluster", cluster, "-o", output)
    assert answer.code == 0


@pytest.mark.parametrize(
    ("before", "after", "gates", "code"),
    [
        ((80,), (80, 81), ["added"], 1),
        ((80,), (80, 81), ["removed"], 0),
        ((80, 81), (80,), ["added"], 0),
        ((80, 81), (80,), ["removed"], 1),
        ((), (80,), ["removed"], 0),
        ((80,), (81,), ["added"], 1),
        ((80,), (81,), ["removed"], 1),
        ((80, 81), (80,), ["added", "removed"], 1),
    ],
)
def test_gates_fail_on_their_kind_only(
    netpol: Netpol,
    cluster: Path,
    tmp_path: Path,
    before: tuple[int, ...],
    after: tuple[int, ...],
    gates: list[str],
    code: int,
) -> None:
    sides = (write(tmp_path / "a.yaml", web_open_to(*before)), write(tmp_path / "b.yaml", web_open_to(*after)))
    options = [word for gate in gates for word in ("--fail-on", gate)]
    assert netpol("diff", *sides, "--cluster", cluster, *options).code == code


def test_text_shows_a_connection_to_try(netpol: Netpol, cluster: Path, old: Path, new: Path) -> None:
    answer = netpol("diff", old, new, "--cluster", cluster)
    assert "now shop/db to shop/web TCP/8080" in answer.out


def test_csv_has_a_line_for_each_range(netpol: Netpol, cluster: Path, old: Path, new: Path) -> None:
    rows = list(csv.DictReader(netpol("diff", old, new, "--cluster", cluster, "-o", "csv").out.splitlines()))
    assert [(row["change"], row["first_port"], row["last_port"]) for row in rows] == [
        ("added", "8080", "8080"),
        ("removed", "80", "80"),
    ]


def test_unified_shows_content_only(netpol: Netpol, cluster: Path, tmp_path: Path, new: Path) -> None:
    spelled = web_open_to(443, 8080)
    spelled["spec"]["policyTypes"] = ["Ingress"]
    other = write(tmp_path / "other.yaml", spelled)
    answer = netpol("diff", new, other, "--cluster", cluster, "--unified")
    assert (answer.code, answer.out) == (0, "No connection differs\n")
    answer = netpol("diff", write(tmp_path / "o.yaml", web_open_to(443)), new, "--cluster", cluster, "--unified")
    assert "--- old/shop/web.yaml\n+++ new/shop/web.yaml\n" in answer.out
    assert "+          port: 8080\n" in answer.out


def test_what_is_in_a_policy_cannot_leave_its_fence(netpol: Netpol, cluster: Path, tmp_path: Path, old: Path) -> None:
    hostile = write(tmp_path / "h.yaml", web_open_to(80, 443, note="```\n# owned \x1b[31m ````"))
    answer = netpol("diff", old, hostile, "--cluster", cluster, "--unified", "-o", "md")
    assert answer.code == 0
    assert "\x1b" not in answer.out
    lines = answer.out.splitlines()
    fence = lines[next(number for number, line in enumerate(lines) if line.endswith("diff"))].removesuffix("diff")
    assert set(fence) == {"`"}
    inside = answer.out.split(f"{fence}diff\n")[1].rsplit(fence, 1)[0]
    assert fence not in inside


def test_unified_does_not_fit_into_csv(netpol: Netpol, cluster: Path, old: Path, new: Path) -> None:
    assert netpol("diff", old, new, "--cluster", cluster, "--unified", "-o", "csv").code == 2


def test_a_workload_of_one_side_is_named_as_the_reason(netpol: Netpol, cluster: Path, tmp_path: Path) -> None:
    policies = web_open_to(80)
    before = write(tmp_path / "old" / "all.yaml", policies, deployment("cache"))
    after = write(tmp_path / "new" / "all.yaml", policies, deployment("cache"), deployment("queue"))
    answer = netpol("diff", before.parent, after.parent, "--cluster", cluster, "-o", "json")
    assert answer.code == 1
    found = json.loads(answer.out)
    assert found["one_sided"] == {"old": [], "new": ["shop/queue[Deployment]"]}
    assert found["added"]
    assert not found["removed"]
    for row in found["added"]:
        assert "shop/queue[Deployment]" in {row["source"], row["destination"]}
        assert row["only_in"] == "new"
    text = netpol("diff", before.parent, after.parent, "--cluster", cluster).out
    assert "shop/queue[Deployment] is in NEW only" in text


def test_a_side_without_policies_is_said(netpol: Netpol, cluster: Path, tmp_path: Path, new: Path) -> None:
    answer = netpol("diff", write(tmp_path / "o.yaml", deployment("x")), new, "--cluster", cluster)
    assert answer.code == 1
    assert "OLD holds no policy" in answer.err


# --- git -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two commits: the policy opens 80, then 8080. The work tree has neither."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    root = tmp_path / "repo"
    root.mkdir()
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]

    def git(*words: str) -> None:
        subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    for port in (80, 8080):
        write(root / "deploy" / "net pol" / "web.yaml", web_open_to(port))
        write(root / "deploy" / ".hidden" / "web.yaml", web_open_to(1))
        (root / "deploy" / "notes.txt").write_text("no manifest", encoding="utf-8")
        git("add", "-A")
        git("commit", "-q", "-m", f"{port}")
    (root / "deploy" / "net pol" / "web.yaml").unlink()
    monkeypatch.chdir(root)
    return root


@pytest.mark.parametrize("path", ["deploy", "deploy/", "deploy/net pol", "deploy/net pol/web.yaml", "./deploy", ""])
def test_revisions_are_compared_without_a_checkout(netpol: Netpol, cluster: Path, repository: Path, path: str) -> None:
    answer = netpol("diff", f"git:HEAD~1:{path}", f"git:main:{path}", "--cluster", cluster, "-o", "json")
    assert answer.code == 1, answer.err
    (row,) = json.loads(answer.out)["changed"]
    assert (row["before"], row["after"]) == ({"TCP": [[80, 80]]}, {"TCP": [[8080, 8080]]})
    assert not (repository / "deploy" / "net pol" / "web.yaml").exists()


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("git:nothing:deploy", "no such revision"),
        ("git:main:nowhere", "no such path in this revision"),
        ("git:main:deploy/notes.txt", "document 1"),
        ("git:main", "is not git:REV:PATH"),
        ("git::deploy", "is not git:REV:PATH"),
        ("git:--output=/tmp/x:deploy", "is not git:REV:PATH"),
        ("git:main:--help", "no such path in this revision"),
        ("git:main^{tree}:deploy", "no such revision"),
        ("git:main\x1b[31m:deploy", "no such revision"),
    ],
)
def test_what_git_does_not_have_is_2(netpol: Netpol, cluster: Path, new: Path, word: str, said: str) -> None:
    answer = netpol("diff", word, new, "--cluster", cluster)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert "\x1b" not in answer.err


def test_outside_a_repository_is_2(
    netpol: Netpol, cluster: Path, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    answer = netpol("diff", "git:HEAD:x", new, "--cluster", cluster)
    assert answer.code == 2
    assert "not a git repository" in answer.err


def test_without_git_is_2(netpol: Netpol, cluster: Path, new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    answer = netpol("diff", "git:HEAD:x", new, "--cluster", cluster)
    assert answer.code == 2
    assert "git is not installed" in answer.err


def test_an_invalid_policy_in_git_has_its_place(netpol: Netpol, cluster: Path, repository: Path, new: Path) -> None:
    broken = web_open_to(80)
    broken["spec"]["ingres"] = []
    write(repository / "bad" / "p.yaml", broken)
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for words in (["add", "-A"], ["commit", "-q", "-m", "bad"]):
        subprocess.run(["git", *identity, *words], cwd=repository, check=True, capture_output=True)
    answer = netpol("diff", "git:main:bad", new, "--cluster", cluster)
    assert answer.code == 2
    assert "git:main:bad/p.yaml: document 1: spec" in answer.err


# --- live ----------------------------------------------------------------------------------------------------------


def _live(monkeypatch: pytest.MonkeyPatch, *items: dict[str, Any]) -> list[str]:
    """A cluster with these objects; the list notes each time that it is read."""
    reads: list[str] = []

    def answer(*_: object, **__: object) -> Iterator[Document]:
        reads.append("read")
        for number, item in enumerate(items):
            yield Document(("live", f"items[{number}]"), item, ("live",))

    monkeypatch.setattr(live, "read_live_documents", answer)
    return reads


def test_live_is_policies_and_cluster_in_one_look(netpol: Netpol, new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = _live(monkeypatch, pod("web"), pod("db"), web_open_to(80, 443))
    answer = netpol("diff", "live", new, "-o", "json")
    assert answer.code == 1
    (row,) = json.loads(answer.out)["changed"]
    assert row["before"] == {"TCP": [[80, 80], [443, 443]]}
    assert reads == ["read"]


def test_a_cluster_that_does_not_answer_is_3(netpol: Netpol, new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Iterator[Document]:
        raise ClusterError("did not answer", where=("https://192.0.2.1",), remedy="Check the kubeconfig")

    monkeypatch.setattr(live, "read_live_documents", refuse)
    answer = netpol("diff", "live", new)
    assert (answer.code, answer.out) == (3, "")
    assert "did not answer" in answer.err


def test_an_unreadable_side_is_2(netpol: Netpol, cluster: Path, new: Path, tmp_path: Path) -> None:
    answer = netpol("diff", tmp_path / "none.yaml", new, "--cluster", cluster)
    assert answer.code == 2
    assert "none.yaml" in answer.err
