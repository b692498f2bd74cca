"""The README cannot drift: what it shows is what comes out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from netpol.cli.main import program

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block_after(text: str) -> str:
    """The first fenced block behind `text`."""
    found = re.search(r"```\w*\n(.*?)```", README[README.index(text) :], re.DOTALL)
    assert found
    return found[1]


def commands() -> Iterator[str]:
    """Every netpol command line in a fenced shell block."""
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL):
        for line in block.splitlines():
            for part in re.split(r"&&|\|", line.split("#")[0]):
                if re.match(r"\s*(\.venv/bin/)?netpol ", part):
                    yield re.sub(r"^\s*(\.venv/bin/)?", "", part).strip()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What the line under `Run it` does, but for the installing: the folder that it writes, and stderr."""
    words = shlex.split(block_after("## Run it").split("&&")[-1])[1:]
    folder = tmp_path_factory.mktemp("readme") / "policies"
    words = [str(folder) if word == "policies" else str(ROOT / word) if "/" in word else word for word in words]
    result = CliRunner().invoke(program(), words)
    assert result.exit_code == 0, result.output
    return folder, result.stderr


def test_one_line_each_runs_and_tests_it() -> None:
    assert len(block_after("## Run it").splitlines()) == 1
    assert len(block_after("## Test it").splitlines()) == 1


def test_the_files_are_those_that_are_shown(run: tuple[Path, str]) -> None:
    folder, _ = run
    shown = re.findall(r"[├└]── (\S+)", block_after("into one policy per workload"))
    assert shown == sorted(shown, key=lambda name: ("/" not in name, name))
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    # Of allowlists there are as many as formats: they are shown as one.
    assert set(shown) == {"allowlists/..." if path.startswith("allowlists/") else path for path in written}


def test_the_policy_is_the_one_that_is_shown(run: tuple[Path, str]) -> None:
    folder, _ = run
    shown = block_after("and all that was left out, with the reason").split("\n", 1)[1]
    assert shown in (folder / "shop" / "report.yaml").read_text()


def test_the_account_is_the_one_that_is_shown(run: tuple[Path, str]) -> None:
    _, account = run
    assert account == block_after("and says on stderr")


def test_the_policy_for_cilium_is_the_one_that_is_shown() -> None:
    files = [str(ROOT / "captures" / "shop"), "--cluster", str(ROOT / "samples" / "shop" / "cluster.yaml")]
    result = CliRunner().invoke(program(), ["learn", *files, "--dialect", "cilium"])
    shown = block_after("and names in the place of addresses").split("\n", 1)[1]
    assert shown in result.stdout


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("prints a tree for each namespace", ["-n", "data"]),
        ("with `--state allowed-used`", ["-o", "mermaid", "--state", "allowed-used"]),
    ],
    ids=["tree", "mermaid"],
)
def test_the_graph_is_the_one_that_is_shown(before: str, words: list[str]) -> None:
    files = [str(ROOT / "captures" / "shop"), "--cluster", str(ROOT / "samples" / "shop" / "cluster.yaml")]
    result = CliRunner().invoke(program(), ["graph", *files, *words])
    assert result.stdout == block_after(before)


def test_the_report_begins_as_is_shown(run: tuple[Path, str]) -> None:
    folder, _ = run
    assert (folder / "REVIEW.md").read_text().startswith(block_after("The sample shop's begins so"))


def test_the_evidence_is_the_one_that_is_shown() -> None:
    words = ["why", "data/postgres:ingress[0]", str(ROOT / "captures" / "shop")]
    result = CliRunner().invoke(program(), [*words, "--cluster", str(ROOT / "samples" / "shop" / "cluster.yaml")])
    shown = README[README.index("netpol why data/postgres") :].partition("```\n\n```\n")[2].partition("```")[0]
    assert result.stdout == shown


@pytest.mark.parametrize("command", sorted({shlex.split(command)[1] for command in commands()}))
def test_every_command_that_is_shown_exists(command: str) -> None:
    result = CliRunner().invoke(program(), [command, "--help"])
    assert result.exit_code == 0


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_every_option_that_is_shown_exists(line: str) -> None:
    command, *words = shlex.split(line)[1:]
    of_it = words[:1] if command == "dataset" else []
    terminal = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    shown = CliRunner().invoke(program(), [command, *of_it, "--help"], env=terminal).output
    for word in words:
        if re.fullmatch(r"-\w|--[\w-]+", word):
            assert word in shown
