"""What the manifests run is what the program takes: each argument by its own parser, and the probe by a shell."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
import typer

from netpol.agent.alive import ALIVE
from netpol.agent.deploy_agent import SPOOL
from netpol.cli.amounts import size
from netpol.cli.main import program
from tests.agent.manifests import deployed, one, pod_of

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = (
    "--interfaces",
    "eth*",
    "--interfaces",
    "cni0",
    "--duration",
    "7d",
    "--spool",
    "64Mi",
    "-n",
    "watch",
    "--retention",
    "2w",
    "--storage",
    "5Gi",
)


def container(kind: str) -> dict[str, Any]:
    (found,) = pod_of(one(deployed(*OPTIONS), kind))["spec"]["containers"]
    return dict(found)


def parsed(arguments: list[str]) -> dict[str, Any]:
    """The values that the command's function would be called with; the parser's error where there is one."""
    command, *words = arguments
    group: Any = typer.main.get_command(program([command]))
    context = group.commands[command].make_context(command, words)
    return dict(context.params)


def test_the_hub_takes_its_arguments() -> None:
    hub = container("Deployment")
    found = parsed(hub["args"])
    mounts = {mount["name"]: mount["mountPath"] for mount in hub["volumeMounts"]}
    assert str(found["data"]) == mounts["data"]
    assert {str(found["tls_cert"]), str(found["tls_key"])} == {
        f"{mounts['certificate']}/{name}" for name in ("tls.crt", "tls.key")
    }
    assert found["listen"].endswith(f":{hub['ports'][0]['containerPort']}")
    assert (found["keep"], size(found["max_size"], "--max-size")) == ("2w", 4 << 30)  # of the 5 GiB that were asked for
    assert (list(found["writer"]), list(found["reader"])) == (["watch/netpol-agent"], ["watch/netpol-reader"])


def test_the_agent_takes_its_arguments() -> None:
    agent = container("DaemonSet")
    found = parsed(agent["args"])
    mounts = {mount["name"]: mount["mountPath"] for mount in agent["volumeMounts"]}
    assert str(found["spool"]) == mounts["spool"]
    assert str(found["token_file"]) == f"{mounts['token']}/token"
    assert str(found["ca_file"]) == f"{mounts['trust']}/ca.crt"
    assert found["hub"] == "https://netpol-hub.watch.svc:8443"
    assert list(found["interfaces"]) == ["eth*", "cni0"]
    assert (found["duration"], found["spool_size"]) == ("7d", "64Mi")


def test_an_argument_that_is_not_there_would_be_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        parsed([*container("Deployment")["args"], "--no-such-option"])


@pytest.mark.parametrize("probe", ["livenessProbe", "readinessProbe"])
def test_the_agent_lives_while_it_says_so(tmp_path: Path, probe: str) -> None:
    shell, flag, script = container("DaemonSet")[probe]["exec"]["command"]
    here = [shell, flag, script.replace(SPOOL, str(tmp_path))]
    assert here[2] != script

    def answer() -> int:
        return subprocess.run(here, capture_output=True, timeout=100, check=False).returncode

    assert answer() != 0
    (tmp_path / ALIVE).touch()
    assert answer() == 0
    long_ago = time.time() - 300
    os.utime(tmp_path / ALIVE, (long_ago, long_ago))
    assert answer() != 0
