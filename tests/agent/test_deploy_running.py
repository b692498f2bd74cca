"""The manifests at work: their containers, with the rights, tokens and certificates that they bring, and no others."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from netpol.cli.amounts import size
from tests.agent.deploy_pods import Container, kubeconfig, require_containers, running, traffic
from tests.agent.manifests import Manifest, deployed, one, path_of
from tests.cluster.control_plane import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.control_plane import Cluster

NODE = "node-7"
SECONDS = 100
NET_RAW = 1 << 13
RIGHTS = {"Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


@pytest.fixture(name="volumes")
def _volumes() -> Iterator[dict[str, Path]]:
    with tempfile.TemporaryDirectory(prefix="netpol-deploy-") as folder:
        names = ("data", "certificate", "scratch", "spool", "token", "trust", "log")
        found = {name: Path(folder) / name for name in names}
        for path in found.values():
            path.mkdir()
        yield found


def token(cluster: Cluster, account: str, *audiences: str) -> str:
    spec = {"audiences": list(audiences)} if audiences else {}
    return str(
        cluster.call(f"/api/v1/namespaces/netpol/serviceaccounts/{account}/token", {"spec": spec})["status"]["token"]
    )


def get(url: str, authority: Path, bearer: str = "") -> tuple[int, Any]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {bearer}"} if bearer else {})  # noqa: S310
    context = ssl.create_default_context(cafile=str(authority))
    try:
        with urllib.request.urlopen(request, timeout=SECONDS, context=context) as answer:  # noqa: S310 - this machine
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, None
    except OSError:  # it does not listen yet
        return 0, None


def until(found: Any, *containers: Container) -> Any:
    """Asks again until there is something; fails as soon as a container has ended."""
    for _ in range(SECONDS * 4):
        answer = found()
        if answer:
            return answer
        for container in containers:
            assert container.process.poll() is None, container.log.read_text()[-3000:]
        threading.Event().wait(0.25)  # nothing tells when it is there
    pytest.fail("".join(container.log.read_text()[-3000:] for container in containers))


def test_an_agent_and_a_hub_as_deployed_find_and_trust_each_other(
    control_plane: Cluster, volumes: dict[str, Path]
) -> None:
    require_containers()
    control_plane.wait_for("/api/v1/namespaces/kube-system")
    manifests = deployed("--tls", "new", "--interfaces", "lo")
    for manifest in manifests:
        if manifest["kind"] in RIGHTS:
            control_plane.call(path_of(manifest).rpartition("/")[0], manifest)
    for name, text in one(manifests, "Secret")["data"].items():
        (volumes["certificate"] / name).write_bytes(base64.b64decode(text))
    authority = volumes["trust"] / "ca.crt"
    authority.write_text(one(manifests, "ConfigMap")["data"]["ca.crt"])
    (volumes["token"] / "token").write_text(token(control_plane, "netpol-agent", "netpol-hub"))
    port = free_port()
    here = {"[::]:8443": f"127.0.0.1:{port}", "https://netpol-hub.netpol.svc:8443": f"https://localhost:{port}"}
    config = kubeconfig(
        volumes["log"] / "hub.kubeconfig",
        control_plane.url,
        control_plane.authority,
        token(control_plane, "netpol-hub"),
    )
    own = {"KUBECONFIG": str(config), "TMPDIR": str(volumes["scratch"])}
    with running(one(manifests, "Deployment"), volumes, here, ["--watch"], **own) as hub:
        url = f"https://localhost:{port}"
        until(lambda: get(f"{url}/readyz", authority)[0] == 200, hub)
        status = hub.status()
        assert (int(status["CapBnd"], 16), int(status["CapEff"], 16), status["NoNewPrivs"]) == (0, 0, "1")
        with running(one(manifests, "DaemonSet"), volumes, here, ["--window=1s"], NODE_NAME=NODE) as agent, traffic():
            reader = token(control_plane, "netpol-reader", "netpol-hub")
            found = until(lambda: records(get(f"{url}/v1/status", authority, reader)), hub, agent)
            assert list(found) == [NODE]
            status = agent.status()
            assert (int(status["CapBnd"], 16), int(status["CapEff"], 16)) == (NET_RAW, NET_RAW)
            assert (status["NoNewPrivs"], status["Uid"].split()[1]) == ("1", "0")
            for container, controller in ((hub, "Deployment"), (agent, "DaemonSet")):
                peak, unit = container.status()["VmHWM"].split()
                assert unit == "kB"
                assert int(peak) << 10 < memory(one(manifests, controller)) // 2  # idle, at that
            # Whoever is not meant to read or send may not, and each token is good for its own purpose only.
            for wrong in (
                "",
                token(control_plane, "netpol-reader"),
                token(control_plane, "netpol-agent", "netpol-hub"),
            ):
                assert get(f"{url}/v1/status", authority, wrong)[0] in {401, 403}
        history = volumes["data"] / "cluster"
        until(lambda: any(history.rglob("*")) if history.exists() else False, hub)


def memory(controller: Manifest) -> int:
    """The limit of a controller's container in bytes."""
    (container,) = controller["spec"]["template"]["spec"]["containers"]
    return size(container["resources"]["limits"]["memory"], "limits.memory")


def records(answer: tuple[int, Any]) -> dict[str, int]:
    """Nodes of which there are records."""
    status, body = answer
    assert status == 200, body
    return {node["node"]: node["records"] for node in body["nodes"] if node["records"]}


def test_the_two_manifests_name_every_volume_that_they_mount() -> None:
    for controller in (one(deployed(), kind) for kind in ("Deployment", "DaemonSet")):
        spec: Manifest = controller["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}
