"""Why the agent's container runs as root with NET_RAW alone: what this machine's kernel says.

The sets are those that a container runtime gives: what the manifest adds is in the bounding set, nothing is inheritable
(CVE-2022-24769), nothing is ambient (Kubernetes has no field for it), and no_new_privs is set.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from netpol.agent.deploy_settings import HUB_USER
from tests.agent.manifests import deployed, one, pod_of

if TYPE_CHECKING:
    from pathlib import Path

OPEN = "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()"
PYTHON = "/usr/bin/python3"
"""One that every user can reach."""
PERMITTED = 0


def as_container(user: int, capability: str, *command: str | Path) -> int:
    """The exit status of a program that a container runs as this user with this capability added to none."""
    bounding = f"-all,+{capability.lower()}"
    who = ["--reuid", str(user), "--regid", str(user), "--clear-groups"]
    words = ["setpriv", "--bounding-set", bounding, "--inh-caps", "-all", "--no-new-privs", *who, *map(str, command)]
    return subprocess.run(words, capture_output=True, timeout=100, check=False).returncode


@pytest.fixture(autouse=True)
def _able() -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None or not os.access(PYTHON, os.X_OK):
        pytest.skip("needs root, setpriv and a python3 of the system")
    try:
        if subprocess.run([PYTHON, "-c", OPEN], capture_output=True, timeout=100, check=False).returncode:
            pytest.skip("this machine lets root open no packet socket")
    except OSError:
        pytest.skip("no python3")


def test_the_user_and_the_capability_of_the_manifest_open_a_packet_socket() -> None:
    spec = pod_of(one(deployed(), "DaemonSet"))["spec"]
    (container,) = spec["containers"]
    assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    (capability,) = container["securityContext"]["capabilities"]["add"]
    user = spec["securityContext"]["runAsUser"]
    assert as_container(user, capability, PYTHON, "-c", OPEN) == 0
    assert as_container(user, "CHOWN", PYTHON, "-c", OPEN) != 0


def test_another_user_would_not_get_the_capability() -> None:
    assert as_container(HUB_USER, "NET_RAW", PYTHON, "-c", OPEN) != 0


def test_another_user_could_not_write_what_the_kubelet_makes(tmp_path: Path) -> None:
    for folder in [tmp_path, *tmp_path.parents[:-2]]:
        folder.chmod(0o755)
    spool = tmp_path / "spool"
    spool.mkdir(0o755)  # DirectoryOrCreate: root's own, 0755
    assert as_container(0, "NET_RAW", "touch", spool / "a") == 0
    assert as_container(HUB_USER, "NET_RAW", "touch", spool / "b") != 0


def test_a_file_capability_would_keep_the_hub_from_starting(tmp_path: Path) -> None:
    if shutil.which("setcap") is None:
        pytest.skip("setcap is not on PATH")
    program = tmp_path / "python3"
    shutil.copy(os.path.realpath(PYTHON), program)
    if subprocess.run(["setcap", "cap_net_raw+ep", program], capture_output=True, check=False).returncode:
        pytest.skip("this file system keeps no capabilities")
    assert as_container(0, "NET_RAW", program, "-c", "pass") == 0
    assert as_container(0, "CHOWN", program, "-c", "pass") != 0
