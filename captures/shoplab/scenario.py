"""What happens while the recorders run: the shop's business, its failures, and an intruder."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from shoplab.description import (
    API,
    LOAD_BALANCER,
    NODES,
    PARTNER_NAME,
    PARTNER_PORT,
    POSTGRES,
    PROMETHEUS,
    REDIS,
    REPORT,
    SHOPPERS,
    SWEEP,
    WEB,
    all_pods,
    pods_of,
)
from shoplab.programs import Client, start_servers
from shoplab.truth import Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from shoplab.description import Pod, Workload
    from shoplab.network import Lab

_API_PODS = pods_of(API)
_JOBS = (REPORT, SWEEP)
_WEB_POD, _POSTGRES_POD, _REDIS_POD, _PROMETHEUS_POD, _REPORT_POD, _SWEEP_POD = (
    pods_of(workload)[0] for workload in (WEB, POSTGRES, REDIS, PROMETHEUS, REPORT, SWEEP)
)


@dataclass(slots=True)
class Times:
    """When things happened.

    Attributes:
        runs: For each CronJob, when its pod started and when its program ended.
    """

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime = field(default_factory=lambda: datetime.now(UTC))
    runs: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)


class Follower(Protocol):
    """Something that has to know which pods are there: policies in force, an API server."""

    def apply(self, pods: Sequence[Pod]) -> None:
        """Take note that these pods, those on the host's network aside, are there now, and no others."""


def standing_pods() -> list[Pod]:
    """The pods that are there from the start: neither job runs nor what has no network of its own."""
    return [pod for pod in all_pods() if pod.workload not in _JOBS and not pod.workload.host_network]


class Scenario:
    """Drives one lab, whose standing pods were built, from its first server to its last packet.

    Args:
        lab: With its nodes and standing pods.
        followers: Told of the pods before they start anything, and of each job's pod as it comes and goes.
    """

    def __init__(self, lab: Lab, followers: Sequence[Follower] = ()) -> None:
        self._lab = lab
        self._followers = followers
        self.times = Times()
        self._answered = 0
        self.ledger = Ledger(lab)

    def play(self, *recorders: AbstractContextManager[object]) -> None:
        """Start the shop, open what is older than the capture, and record the rest."""
        lab = self._lab
        self._tell()
        start_servers(lab)
        self._kubelets = {node: Client(lab, node.name) for node in NODES}
        self._prometheus = Client(lab, _PROMETHEUS_POD.key)
        self._shell = Client(lab, _WEB_POD.key)
        self._shoppers = Client(lab, "shoppers")
        self._older_than_the_capture()
        with ExitStack() as recording:
            for recorder in recorders:
                recording.enter_context(recorder)
            self.times.started = datetime.now(UTC)
            self._business()
            self._job(_REPORT_POD, "use-vc")
            self._probe_and_scrape()
            time.sleep(4)  # an address stays unused for a while before the node hands it out again
            self._job(_SWEEP_POD, "")
            self._scan()
            self._after_the_scan()
            self.times.ended = datetime.now(UTC)

    def _tell(self, *jobs: Pod) -> None:
        for follower in self._followers:
            follower.apply([*standing_pods(), *jobs])

    def _older_than_the_capture(self) -> None:
        """The API's pools are open already; add a scrape kept alive and a conversation without a declared port."""
        for pod in _API_PODS:
            self.ledger.read_api(pod, before=True)
        self.ledger.read_dns(over_tcp=False, count=False)
        first = _API_PODS[0]
        answer = self._prometheus("keep", name="scrape", host=first.address, port=9102)
        self.ledger.answer(str(PROMETHEUS), answer, outcome="midstream")
        self._prometheus("use", name="scrape", path="/metrics")
        self._shell("listen", name="shell", host=_WEB_POD.address, port=46789)
        answer = self._prometheus("dial", name="shell", host=_WEB_POD.address, port=46789, from_port=45678)
        outcomes = {"established": "midstream", "refused": "refused"}
        self.ledger.answer(str(PROMETHEUS), answer, "noise", outcomes[answer["records"][0]["outcome"]])
        self._talking = answer["records"][0]["outcome"] == "established"
        if self._talking:
            self._shell("accept", name="shell")

    def _business(self) -> None:
        """Shoppers look, buy and ask for what is not there; the kubelets and Prometheus do their rounds."""
        self._probe()
        for _ in range(2):
            self._prometheus("use", name="scrape", path="/metrics")
        self._prometheus("use", name="scrape", path="/metrics", last=True)
        self._mutter()
        for _ in range(9):
            self._shop("/products")
            time.sleep(0.2)  # longer than the cache keeps the answer
        for _ in range(5):
            self._shop("/products", node_port=True)
            time.sleep(0.2)
        for path in ("/recommend", "/checkout", "/recommend", "/checkout"):
            self._shop(path)
        self._mutter()
        self._catch_up()

    def _after_the_scan(self) -> None:
        """The web front end goes on with its proper work after it was used for a scan."""
        self._probe_and_scrape()
        for _ in range(4):
            self._shop("/products")
            time.sleep(0.2)
        self._mutter()
        self._catch_up()

    def _shop(self, path: str, *, node_port: bool = False) -> None:
        if node_port:
            door = {"host": NODES[0].address, "port": 30080, "bind": SHOPPERS[1]}
        else:
            door = {"host": LOAD_BALANCER, "port": 80, "bind": SHOPPERS[0]}
        answer = self._shoppers("http_request", **door, path=path, method="POST" if path == "/checkout" else "GET")
        self.ledger.answer(str(door["bind"]), answer)
        self._answered += 1
        if answer["status"] != 200:
            raise RuntimeError(f"the shop answered {answer['status']} to {path}")

    def _job(self, pod: Pod, resolver_options: str) -> None:
        """One run of a CronJob: a pod that comes, works, and gives its address back."""
        started = datetime.now(UTC)
        self._lab.add_pod(pod, resolver_options=resolver_options)
        self._tell(pod)
        client = Client(self._lab, pod.key)
        source = str(pod.workload)
        if pod is _REPORT_POD:
            answer = client("connect", host=_POSTGRES_POD.address, port=5433)  # a replica that was never set up
            self.ledger.answer(source, answer, "failure")
            for sql in ("SELECT count(*) FROM purchase", "SELECT name FROM product"):
                self.ledger.answer(source, client("sql", host="postgres.data.svc.cluster.local", port=5432, sql=sql))
            for body in ("totals", "details"):
                order = {"host": PARTNER_NAME, "port": PARTNER_PORT, "path": "/reports", "body": body, "method": "POST"}
                self.ledger.answer(source, client("http_request", **order, tls=True))
        else:
            for _ in range(2):
                self.ledger.answer(source, client("http_request", host="api", port=80, path="/sweep", method="POST"))
        time.sleep(0.5)
        client.close()
        self.ledger.read_dns(pod, over_tcp=bool(resolver_options))
        self._lab.remove_pod(pod)
        self._tell()
        self.times.runs[pod.workload.name] = started, datetime.now(UTC)

    def _scan(self) -> None:
        """From the web front end: a connect scan of the API and the database, a SYN scan of Redis and Prometheus."""
        common = ("-Pn", "-n", "--disable-arp-ping", "--max-retries", "0", "-T4", "-oX", "-")
        ports = "21,22,23,80,443,445,1433,3000,3306,3389,5432,5900,8080,8443,9200,11211,27017"
        targets = [pod.address for pod in (*_API_PODS, _POSTGRES_POD)]
        self.ledger.read_nmap(str(WEB), self._lab.run(_WEB_POD.key, "nmap", "-sT", *common, "-p", ports, *targets))
        targets = [pod.address for pod in (_REDIS_POD, _PROMETHEUS_POD)]
        ports = "22,80,443,3000,5432,6379,8080,9200"
        self.ledger.read_nmap(str(WEB), self._lab.run(_WEB_POD.key, "nmap", "-sS", *common, "-p", ports, *targets))

    def _mutter(self) -> None:
        """Both sides of the nameless conversation say something, neither of them on a declared port."""
        if not self._talking:
            return
        for speaker, hearer in ((self._shell, self._prometheus), (self._prometheus, self._shell)):
            speaker("say", name="shell", text="still there?\n")
            hearer("hear", name="shell")

    def _probe_and_scrape(self) -> None:
        self._probe()
        own = str(PROMETHEUS)
        for pod in _API_PODS:
            answer = self._prometheus("http_request", host=pod.address, port=9102, path="/metrics")
            self.ledger.answer(own, answer)
        # Over IPv6 alone: what is learned here cannot have come from an IPv4 address.
        self.ledger.answer(
            own, self._prometheus("http_request", host=_WEB_POD.addresses[1], port=9113, path="/metrics")
        )
        for node in NODES:
            purpose = "own-node" if node == _PROMETHEUS_POD.node else "shop"
            answer = self._prometheus("http_request", host=node.address, port=9100, path="/metrics")
            self.ledger.answer(own, answer, purpose)

    def _probe(self) -> None:
        """The kubelets ask the pods of their own nodes."""
        for workload in (API, POSTGRES, WEB):
            self._probe_workload(workload)

    def _probe_workload(self, workload: Workload) -> None:
        kind, port = workload.probe or ("exec", 0)
        for pod in pods_of(workload):
            kubelet = self._kubelets[pod.node]
            if kind == "http":
                answer = kubelet("http_request", host=pod.address, port=port, path="/healthz")
            else:
                answer = kubelet("connect", host=pod.address, port=port)
            self.ledger.answer(f"node/{pod.node.name}", answer, "probe")

    def _catch_up(self) -> None:
        """Write down what the programs that work on their own have dialled by now."""
        for pod in _API_PODS:
            self.ledger.read_api(pod, before=False)
        self.ledger.read_nginx(str(WEB), self._answered)
        self.ledger.read_dns(_WEB_POD, *_API_PODS, over_tcp=False)
