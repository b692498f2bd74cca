"""Sources of Go modules, for the manifests and definitions in them: from the Go module proxy, into Go's own cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

_SECONDS = 120


def module(name: str, folder: Path) -> Path:
    """The folder of `PATH@VERSION`, checked against Go's checksum database; skips the test where it is not to be had.

    Args:
        name: The module with its version.
        folder: An empty one to stand in: outside of any module.
    """
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go toolchain to fetch a module with")
    if os.environ.get("NETPOL_TEST_ORACLES") == "0":
        pytest.skip("NETPOL_TEST_ORACLES=0: no module is fetched")
    try:
        done = subprocess.run(
            [go, "mod", "download", "-json", name],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{name} did not come within {_SECONDS} s")
    found = json.loads(done.stdout) if done.stdout else {"Error": done.stderr.strip()[-300:]}
    if "Error" in found:
        pytest.skip(f"{name} cannot be fetched here (no module proxy?): {found['Error']}")
    return Path(found["Dir"])
