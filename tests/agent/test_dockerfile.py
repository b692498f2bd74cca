"""The image's recipe: a linter reads it, and what it runs is run here, in folders of the test's own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from netpol.agent.deploy_settings import HUB_USER

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "netpol" / "agent" / "Dockerfile"
Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    """The instructions of each stage; what stands before the first is left out."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", "")
    instructions = [
        (line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()
    ]
    found: list[list[Instruction]] = []
    for word, rest in instructions:
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, rest))
    return found


def those(stage: list[Instruction], word: str) -> list[str]:
    return [rest for name, rest in stage if name == word]


def test_a_linter_has_nothing_against_it() -> None:
    beside = Path(sysconfig.get_path("scripts")) / "hadolint"
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint has no wheel for this platform")
    done = subprocess.run([hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_last_stage_only_takes_what_the_first_made_and_is_not_root() -> None:
    build, final = stages()
    base = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    assert base
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", base[1])  # a release, not `latest`
    assert those(build, "FROM") == ["${BASE} AS build"]
    assert those(final, "FROM") == ["${BASE}"]
    assert those(final, "COPY") == ["--from=build /opt/netpol /opt/netpol"]
    assert not re.search(r"apt|pip|gcc|curl", " ".join(those(final, "RUN")))
    assert those(final, "USER") == [f"{HUB_USER}:{HUB_USER}"]
    assert f"--uid {HUB_USER}" in those(final, "RUN")[0]  # it has a name and a home, which libraries ask for
    assert json.loads(those(final, "ENTRYPOINT")[0]) == ["/opt/netpol/bin/netpol"]


def test_only_what_is_copied_is_sent_to_the_builder() -> None:
    (build, _) = stages()
    copied = {name for line in those(build, "COPY") for name in line.split()[:-1]}
    rules = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text("utf-8").split()
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied


@pytest.fixture(name="image", scope="module")
def _image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that stands for /opt/netpol, made by the first stage's own commands."""
    folder = tmp_path_factory.mktemp("image")
    build, _ = stages()
    source = folder / "source"
    source.mkdir()
    for line in those(build, "COPY"):
        *names, place = line.split()
        for name in names:
            target = source / (place if place != "./" else name)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, target)
    # Stands for the base: a Python with pip.
    subprocess.run([sys.executable, "-m", "venv", folder / "base"], check=True, capture_output=True)
    for command in those(build, "RUN"):
        script = command.replace("/wheels", f"{folder}/wheels").replace("/opt/netpol", f"{folder}/netpol")
        script = script.replace("--no-cache-dir", "")  # here it only saves time
        # Compiling what is installed is half of the work, and a few modules are all that is run here.
        environment = {**os.environ, "PATH": f"{folder}/base/bin:{os.environ['PATH']}", "PIP_NO_COMPILE": "1"}
        done = subprocess.run(
            ["sh", "-ec", script], cwd=source, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        if done.returncode and re.search("connection|resolve|timed out|No matching distribution", done.stderr):
            pytest.skip(f"no package index: {done.stderr[-300:]}")
        assert done.returncode == 0, done.stderr
    return folder / "netpol"


@pytest.mark.parametrize("words", [["--version"], ["agent", "--help"], ["hub", "--help"]], ids=" ".join)
def test_its_entry_point_runs_without_a_home_or_a_word_of_the_environment(image: Path, words: list[str]) -> None:
    _, final = stages()
    (entry,) = json.loads(those(final, "ENTRYPOINT")[0])
    program = entry.replace("/opt/netpol", str(image))
    done = subprocess.run([program, *words], env={}, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "netpol" in done.stdout


def test_nothing_in_it_builds_or_installs(image: Path) -> None:
    names = {path.name for path in (image / "bin").iterdir()}
    assert not {"pip", "pip3", "gcc", "cc"} & names
    modules = {path.name.lower() for path in (image / "lib").glob("python*/site-packages/*")}
    assert "netpol" in modules
    assert not {"pip", "setuptools", "pytest", "scapy", "hypothesis"} & modules
