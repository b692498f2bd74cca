"""Runs netpol as a user does, and looks at everything that it answers."""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from netpol.cli.main import main
from netpol.errors import UsageError
from netpol.view import page

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    out: str
    err: str


class Netpol(Protocol):
    def __call__(self, *arguments: str | Path) -> Answer: ...


@pytest.fixture
def netpol(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Netpol:
    """The program in this process: arguments in, exit code and both streams out."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", ["netpol", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        finally:
            gc.enable()
            gc.unfreeze()
        streams = capsys.readouterr()
        return Answer(code, streams.out, streams.err)

    return run


@pytest.fixture
def page_is_built() -> None:
    """Skips where the HTML viewer could not be built when netpol was installed."""
    try:
        page.require()
    except UsageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def shop() -> Path:
    """The captures of the sample shop."""
    return ROOT / "captures" / "shop"


@pytest.fixture(scope="session")
def sample() -> Path:
    """What belongs to these captures: the snapshot, the truth and the expected policies."""
    return ROOT / "samples" / "shop"


@pytest.fixture(scope="session")
def boutique() -> Path:
    """Online Boutique: manifests, and the pods of a cluster that runs it."""
    folder = ROOT.parent / "shared" / "data" / "apps"
    if not folder.is_dir():
        pytest.skip("the Online Boutique data is not beside the checkout")
    return folder
