"""The containers of the manifests as processes on this machine, held to what the manifests leave them.

A mount namespace makes the root file system read-only but for the volumes, setpriv sets capabilities and no_new_privs,
and a user that is not root is one in a user namespace, so that a Python that lies in root's home can be run. What is
not there: seccomp, limits of resources, and the paths that volumes have in the container: arguments get other ones.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent.manifests import Manifest, pod_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TRAFFIC_SECONDS = 0.05


def require_containers() -> None:
    """Skips where root, its tools or its namespaces are not to be had."""
    if os.geteuid() != 0 or any(shutil.which(name) is None for name in ("unshare", "setpriv", "mount")):
        pytest.skip("needs root, unshare, setpriv and mount")
    words = ["unshare", "-m", "--propagation", "private", "unshare", "--user", "--map-user=1", "--keep-caps", "true"]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("no mount and user namespaces here")


@dataclass
class Container:
    """A running container.

    Attributes:
        log: What it wrote.
    """

    process: subprocess.Popen[bytes]
    log: Path

    def status(self) -> dict[str, str]:
        """What the kernel says of the program that it runs."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text("ascii").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@contextmanager
def running(
    controller: Manifest, volumes: Mapping[str, Path], replaced: Mapping[str, str], more: list[str], **environment: str
) -> Iterator[Container]:
    """Runs the one container of a controller's pod.

    Args:
        controller: The Deployment or DaemonSet.
        volumes: Where each of its volumes is here.
        replaced: Parts of its arguments that are otherwise here.
        more: Arguments behind its own.
        environment: Beside PATH.
    """
    spec = pod_of(controller)["spec"]
    (container,) = spec["containers"]
    mounts = {mount["mountPath"]: str(volumes[mount["name"]]) for mount in container["volumeMounts"]}
    writable = [
        str(volumes[mount["name"]])
        for mount in container["volumeMounts"]
        if not mount.get("readOnly") and mount["name"] in volumes
    ]
    arguments = [_with(word, {**mounts, **replaced}) for word in container["args"]]
    script = "".join(f"mount --bind '{folder}' '{folder}'\n" for folder in writable)
    script += 'mount -o remount,bind,ro /\nexec "$@"\n'
    words = ["unshare", "-m", "--propagation", "private", "sh", "-ec", script, "sh", *_as(spec, container)]
    log = volumes["log"] / f"{container['name']}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*words, sys.executable, "-m", "netpol", *arguments, *more],
            stdout=output,
            stderr=output,
            env={"PATH": os.environ["PATH"], **environment},
            cwd=volumes["log"],
        )
    try:
        yield Container(process, log)
    finally:
        process.terminate()
        try:
            process.wait(100)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _with(word: str, replaced: Mapping[str, str]) -> str:
    name, sign, value = word.partition("=")
    for old, new in replaced.items():
        if value == old or value.startswith(f"{old}/"):
            return f"{name}{sign}{new}{value[len(old) :]}"
    return word


def _as(spec: Manifest, container: Manifest) -> list[str]:
    """The commands that take from a process what a container runtime takes."""
    context = {**spec["securityContext"], **container["securityContext"]}
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"]["drop"] == ["ALL"]
    added = [f"+{name.lower()}" for name in context["capabilities"].get("add", [])]
    bounding = ",".join(["-all", *added])
    words = ["setpriv", "--bounding-set", bounding, "--inh-caps", "-all", "--ambient-caps", "-all", "--no-new-privs"]
    user = context["runAsUser"]
    if user:
        assert not added
        words = [
            "unshare",
            "--user",
            f"--map-user={user}",
            f"--map-group={context['runAsGroup']}",
            "--keep-caps",
            *words,
        ]
    return words


@contextmanager
def traffic() -> Iterator[None]:
    """Connections over loopback, one after the other, as long as it is open."""
    over = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(100)

    def talk() -> None:
        while not over.wait(TRAFFIC_SECONDS):
            with socket.create_connection(server.getsockname(), timeout=100) as client, server.accept()[0] as accepted:
                client.sendall(b"x")
                accepted.recv(1)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(100)
        server.close()


def kubeconfig(path: Path, url: str, authority: str, token: str) -> Path:
    """What a pod has in its service account's folder."""
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": url, "certificate-authority": authority}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    }
    path.write_text(json.dumps(config))
    return path
