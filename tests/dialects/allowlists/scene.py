"""What a shop needs outside its cluster, in every shape that a need can have."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from netpol.dialects.allowlists.values import Options
from netpol.model.cidr import AddressSet
from netpol.model.flow import SCTP, TCP, UDP
from netpol.model.host_name import HostName, host_name
from netpol.model.inventory import WorkloadRef
from netpol.model.labels import LabelSelector
from netpol.model.outside import Grade, Need
from netpol.model.wildcard import Depth, Wildcard

if TYPE_CHECKING:
    from netpol.model.flow import Address

WEB = WorkloadRef(namespace="shop", name="web", kind="Deployment")
DB = WorkloadRef(namespace="data", name="db.v1-0", kind="StatefulSet")


def name(text: str) -> HostName:
    found = host_name(text)
    assert found is not None
    return found


def need(
    workload: WorkloadRef,
    end: str | None,
    *addresses: str,
    port: int = 443,
    protocol: int = TCP,
    grade: Grade | None = None,
    sharing: tuple[str, ...] = (),
    wildcard: Wildcard | None = None,
) -> Need:
    return Need(
        workload=workload,
        name=name(end) if end else None,
        protocol=protocol,
        port=port,
        grade=grade if grade is not None else Grade.STRONG if end else Grade.NONE,
        addresses=tuple(ip_address(address) for address in addresses),
        sharing=tuple(map(name, sharing)),
        wildcard=wildcard,
        connections=3,
        bytes=1000,
        first_seen=1,
        last_seen=2,
    )


BUCKETS = Wildcard(parent=name("store.example.com"), depth=Depth.ONE)
DEEP = Wildcard(parent=name("cdn.example.net"), depth=Depth.ANY)

NEEDS = (
    need(WEB, "api.partner.example", "198.51.100.20", "2001:db8:5::20", sharing=("other.partner.example",)),
    need(WEB, "api.partner.example", "198.51.100.20", port=8443, grade=Grade.MEDIUM),
    need(WEB, "a.store.example.com", "198.51.100.64", wildcard=BUCKETS),
    need(WEB, "b.store.example.com", "198.51.100.65", wildcard=BUCKETS),
    need(WEB, "x.y.cdn.example.net", "198.51.100.70", port=80, grade=Grade.MEDIUM, wildcard=DEEP),
    need(WEB, "one.shared.example", "203.0.113.7", grade=Grade.AMBIGUOUS, sharing=("two.shared.example",)),
    need(WEB, "two.shared.example", "203.0.113.7", grade=Grade.AMBIGUOUS, sharing=("one.shared.example",)),
    need(WEB, "time.example.org", "203.0.113.123", port=123, protocol=UDP, grade=Grade.MEDIUM),
    need(WEB, None, "192.0.2.8"),
    need(WEB, None, "192.0.2.9"),
    need(WEB, None, "192.0.2.10", "192.0.2.11", port=5432),
    need(DB, "backup.example.org", "2001:db8:9::1", "2001:db8:9::2", port=22, grade=Grade.MEDIUM),
    need(DB, None, "203.0.113.99", port=3868, protocol=SCTP),
)

SOURCES: dict[WorkloadRef, tuple[Address, ...]] = {
    WEB: (ip_address("10.244.1.5"), ip_address("10.244.2.6"), ip_address("fd00:10::5")),
    DB: (ip_address("10.244.1.9"),),
}

OPTIONS = Options(
    selectors={
        WEB: (LabelSelector(match_labels={"app": "web"}),),
        DB: (LabelSelector(match_labels={"app": "db", "role": "main"}),),
    },
    sources=SOURCES,
    never=AddressSet.of("10.244.0.0/16", "10.96.0.0/12", "192.168.0.11"),
)
