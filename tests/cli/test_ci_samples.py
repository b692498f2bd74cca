"""The ready pipelines: their own commands, run by a shell in a repository with a remote, as the runners do it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cli.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CI = ROOT / "samples" / "ci"

CLUSTER = """
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: c, ports: [{containerPort: 8080}]}]}
status: {phase: Running, podIPs: [{ip: 10.0.0.5}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {nodeName: n2, containers: [{name: c, ports: [{containerPort: 5432}]}]}
status: {phase: Running, podIPs: [{ip: 10.0.0.6}]}
"""

WEB, DB, CACHE_PORT, SQL_PORT = "10.0.0.5", "10.0.0.6", 6379, 5432


class Repository:
    """A clone with a remote, and the programs that a pipeline finds."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "work"
        self.remote = folder / "remote.git"
        programs = folder / "bin"
        programs.mkdir()
        self.said = folder / "gh.txt"
        _program(programs / "netpol", f'exec {sys.executable} -m netpol "$@"')
        # What would be asked of GitHub is written down; everything else is the real thing.
        _program(programs / "gh", f'printf "%s\\n" "$*" >> {self.said}')
        self.body = folder / "body.md"
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com",
            "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com",
            "RUNNER_TEMP": str(folder),
            "GITHUB_STEP_SUMMARY": str(folder / "step.md"),
            "CI_DEFAULT_BRANCH": "main",
            "PUSH_URL": str(self.remote),
        }  # fmt: skip
        self.step_summary = folder / "step.md"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.remote)], check=True)
        subprocess.run(["git", "-C", str(self.remote), "config", "receive.advertisePushOptions", "true"], check=True)
        subprocess.run(["git", "init", "-q", "-b", "main", str(self.path)], check=True)
        self.shell(f"git remote add origin {self.remote}")

    def shell(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """As GitHub and GitLab run a step: it ends at the first command that fails."""
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=self.path, env={**self.environment, **variables}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def record(self) -> None:
        """Web connects to the database."""
        traffic = Traffic()
        traffic.tcp(WEB, DB, SQL_PORT)
        (self.path / "captures").mkdir()
        traffic.write(self.path / "captures" / "day.pcap")

    def commit(self) -> str:
        done = self.shell("git add -A && git commit -q -m x && git push -q origin HEAD:main && git rev-parse HEAD")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return prepared(tmp_path)


def prepared(folder: Path) -> Repository:
    found = Repository(folder)
    (found.path / "cluster.yaml").write_text(CLUSTER)
    found.record()
    return found


def steps(job: str) -> list[str]:
    """The commands of the workflow's job; installing is the one thing that a test cannot do."""
    workflow: dict[str, Any] = yaml.safe_load((CI / "github-workflow.yaml").read_text())
    return [
        step["run"] for step in workflow["jobs"][job]["steps"] if "run" in step and "pip install" not in step["run"]
    ]


def script(job: str) -> list[str]:
    pipeline: dict[str, Any] = yaml.safe_load((CI / "gitlab-ci.yaml").read_text())
    lines: list[str] = pipeline[job]["script"]
    return lines


def run_all(repository: Repository, commands: list[str], **variables: str) -> Iterator[tuple[str, int, str]]:
    for command in commands:
        done = repository.shell(command, **variables)
        yield command, done.returncode, done.stdout + done.stderr


def learned(repository: Repository) -> str:
    """The policy of the database on the branch that the pipeline pushed."""
    done = repository.shell(f"git --git-dir={repository.remote} show netpol/learned:policies/shop/db.yaml")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_github_opens_a_pull_request_where_a_policy_differs(repository: Repository) -> None:
    repository.commit()
    for command, code, said in run_all(repository, steps("learn")):
        assert code == 0, (command, said)
    assert "port: 5432" in learned(repository)
    assert "pr create --head netpol/learned" in repository.said.read_text()
    body = repository.body.read_text()
    assert body.startswith("# Review of network policies, by netpol\n")
    assert "TCP/5432" in body
    assert "## The policies" not in body
    repository.said.unlink()
    for command, code, said in run_all(repository, steps("learn")):
        assert code == 0, (command, said)
    assert not repository.said.exists()  # no policy differs from what was committed


def test_gitlab_learns_and_pushes(repository: Repository) -> None:
    repository.commit()
    for command, code, said in run_all(repository, script("learn")):
        assert code == 0, (command, said)
    assert "port: 5432" in learned(repository)


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is learned before the change."""
    found = prepared(tmp_path_factory.mktemp("before"))
    done = found.shell("netpol learn captures --cluster cluster.yaml -d policies")
    assert done.returncode == 0, done.stderr
    return found.path / "policies"


@pytest.fixture
def base(repository: Repository, policies: Path) -> str:
    """The commit with the policies before the change."""
    shutil.copytree(policies, repository.path / "policies")
    return repository.commit()


@pytest.mark.parametrize("commands", [steps("review"), script("review")], ids=["github", "gitlab"])
class TestGates:
    def test_no_change_passes(self, repository: Repository, base: str, commands: list[str]) -> None:
        for command, code, said in run_all(repository, commands, BASE=f"git:{base}:policies"):
            assert code == 0, (command, said)

    def test_nothing_that_worked_may_be_denied_and_nothing_opened(
        self, repository: Repository, base: str, commands: list[str]
    ) -> None:
        path = repository.path / "policies" / "shop" / "db.yaml"
        policy = yaml.safe_load(path.read_text())
        policy["spec"]["ingress"][0]["ports"][0]["port"] = CACHE_PORT
        policy["spec"]["ingress"].append({"from": [{"ipBlock": {"cidr": "198.51.100.0/24"}}]})
        path.write_text(yaml.safe_dump(policy))
        answers = list(run_all(repository, commands, BASE=f"git:{base}:policies"))
        assert [command.split()[1] for command, code, _ in answers if code] == ["check", "diff"]
        if repository.step_summary.exists():
            annotations = answers[0][2]
            assert "::error file=policies/shop/db.yaml,line=" in annotations
            assert "title=opens-what-nobody-used%3A shop/db::spec.ingress[1]" in annotations
            assert repository.step_summary.read_text().startswith("# Review of network policies, by netpol\n")
