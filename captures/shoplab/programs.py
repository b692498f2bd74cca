"""The real programs inside the pods: started, and waited for until they answer."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoplab.description import (
    API,
    COREDNS,
    DNS_ADDRESS,
    NODES,
    PARTNER,
    PARTNER_NAME,
    PARTNER_PORT,
    POSTGRES,
    REDIS,
    SERVICES,
    WEB,
    pods_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoplab.description import Pod
    from shoplab.network import Lab

INSIDE = Path(__file__).parent / "inside"
_POSTGRES_PROGRAMS = Path("/usr/lib/postgresql")

_NGINX = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{}}
http {{
  log_format upstream '$upstream_addr';
  access_log off;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  resolver {dns} valid=3s ipv6=off;
  server {{
    listen 8080;
    location /healthz {{ return 200; }}
    location / {{
      access_log {folder}/nginx-upstream.log upstream;
      set $api http://api.shop.svc.cluster.local;
      proxy_pass $api;
    }}
  }}
  server {{
    listen 9113;
    listen [::]:9113;
    location /metrics {{ stub_status; }}
  }}
}}
"""

_DNSMASQ = """\
no-resolv
no-hosts
bind-interfaces
listen-address={address}
user=nobody
pid-file=
log-queries=extra
log-facility={log}
local=/cluster.local/
local=/{partner_domain}/
host-record={partner_name},{partner}
{records}
"""


_TABLES = """\
CREATE TABLE product (name text);
CREATE TABLE purchase (at timestamp DEFAULT now());
INSERT INTO product VALUES ('anchor'), ('buoy'), ('compass');
"""


def start_servers(lab: Lab) -> None:
    """Everything that listens, the API with its pools last because it needs the others."""
    for pod in pods_of(COREDNS):
        _start_dns(lab, pod)
    _start_postgres(lab, pods_of(POSTGRES)[0])
    _start_redis(lab, pods_of(REDIS)[0])
    certificate = _certificate(lab)
    for where, arguments in (
        ("partner", (str(PARTNER_PORT), certificate)),
        *((node.name, ("9100",)) for node in NODES),
    ):
        _started(lab, where, "stub.py", *arguments)
    for pod in pods_of(API):
        _started(lab, pod.key, "api.py", str(api_log(lab, pod)))
    _start_nginx(lab, pods_of(WEB)[0])


def api_log(lab: Lab, pod: Pod) -> Path:
    """Where one replica of the API writes down what it dialled."""
    return lab.folder / f"{pod.key}-dialled.jsonl"


def dns_log(lab: Lab, pod: Pod) -> Path:
    """Where one DNS server writes down who asked it."""
    return lab.folder / f"{pod.key}-queries.log"


def nginx_log(lab: Lab) -> Path:
    """Where nginx writes down which upstream it dialled for each request."""
    return lab.folder / "nginx-upstream.log"


class Client:
    """The client program somewhere in the lab, and its answers."""

    def __init__(self, lab: Lab, where: str) -> None:
        self._lab = lab
        self._process = lab.start(where, [sys.executable, str(INSIDE / "client.py")])

    def __call__(self, do: str, **order: Any) -> dict[str, Any]:
        """Give one order and wait for the answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the client has no pipes")
        stdin.write(json.dumps({"do": do, **order}) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"the client failed at {do} {order}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the program."""
        self._lab.stop(self._process)


def _started(lab: Lab, where: str, script: str, *arguments: str) -> None:
    process = lab.start(where, [sys.executable, str(INSIDE / script), *arguments])
    if process.stdout is None or process.stdout.readline().strip() != "ready":
        raise RuntimeError(f"{script} did not start in {where}")


def _until(what: str, answers: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 100
    while not answers():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not start")
        time.sleep(0.05)


def _listens(lab: Lab, where: str, port: int) -> Callable[[], bool]:
    return lambda: f":{port} " in lab.run(where, "ss", "-Hltn")


def _start_dns(lab: Lab, pod: Pod) -> None:
    records = "\n".join(
        f"host-record={service.name}.{service.namespace}.svc.cluster.local,{service.address}" for service in SERVICES
    )
    config = lab.folder / f"{pod.key}-dnsmasq.conf"
    text = _DNSMASQ.format(
        address=pod.address,
        log=dns_log(lab, pod),
        partner_domain=PARTNER_NAME.partition(".")[2],
        partner_name=PARTNER_NAME,
        partner=PARTNER,
        records=records,
    )
    config.write_text(text)
    lab.start(pod.key, ["dnsmasq", "--keep-in-foreground", f"--conf-file={config}"])
    _until("dnsmasq", _listens(lab, pod.key, 53))


def _start_postgres(lab: Lab, pod: Pod) -> None:
    programs = max(_POSTGRES_PROGRAMS.iterdir(), key=lambda path: int(path.name)) / "bin"
    data = lab.folder / "postgres"
    data.mkdir()
    shutil.chown(data, "postgres", "postgres")
    as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
    lab.run(
        pod.key, *as_postgres, str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "--no-sync"
    )
    with (data / "pg_hba.conf").open("a") as access:
        access.write("host all all 10.244.0.0/16 trust\n")
    server = [str(programs / "postgres"), "-D", str(data), "-k", str(data), "-h", "*", "-c", "fsync=off"]
    # SIGINT is the fast shutdown: SIGTERM would wait for the pools to hang up.
    lab.start(pod.key, [*as_postgres, *server], stop=signal.SIGINT)
    psql = ("psql", "-qX", "-h", str(data), "-U", "postgres")
    ready = (str(programs / "pg_isready"), "-q", "-h", str(data))
    _until("postgres", lambda: lab.run(pod.key, "sh", "-c", f"{' '.join(ready)} && echo yes || true").strip() == "yes")
    lab.run(pod.key, *psql, "-c", _TABLES)


def _start_redis(lab: Lab, pod: Pod) -> None:
    server = ["redis-server", "--bind", pod.address, "--protected-mode", "no", "--save", "", "--dir", str(lab.folder)]
    lab.start(pod.key, ["setpriv", "--reuid=redis", "--regid=redis", "--clear-groups", *server])
    _until("redis", _listens(lab, pod.key, 6379))


def _start_nginx(lab: Lab, pod: Pod) -> None:
    config = lab.folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=lab.folder, dns=DNS_ADDRESS))
    lab.start(pod.key, ["nginx", "-c", str(config), "-e", str(lab.folder / "nginx-error.log")], stop=signal.SIGQUIT)
    _until("nginx", _listens(lab, pod.key, 8080))


def _certificate(lab: Lab) -> str:
    path = lab.folder / "partner.pem"
    subject = ("-subj", f"/CN={PARTNER_NAME}", "-keyout", str(path), "-out", str(lab.folder / "partner.crt"))
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    subprocess.run(["openssl", "req", "-x509", *key, *subject], check=True, capture_output=True)
    with path.open("a") as pem:
        pem.write((lab.folder / "partner.crt").read_text())
    return str(path)
