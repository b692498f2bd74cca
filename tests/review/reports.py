"""Reports with a text wherever a text can be, for tests."""

from __future__ import annotations

from netpol.graph.label_graph import Replicas
from netpol.graph.observation import Evidence
from netpol.model.flow import TCP, Direction
from netpol.model.ports import PortMap, PortSet
from netpol.review.evidence import Seen
from netpol.review.report import Blocked, Change, LeftOut, Observed, Report, RuleRef, ToCheck, Urgency

SQL = PortMap.of({TCP: PortSet.of(5432)})


def seen(text: str, connections: int = 3) -> Seen:
    """Three connections, told by their SYNs, in the first second after the epoch."""
    evidence = Evidence(
        connections=connections,
        packets=30,
        bytes=3_000,
        first_seen=0,
        last_seen=1_000_000_000,
        directions=((Direction.SYN, connections),),
        services=(text,),
    )
    return Seen(
        evidence=evidence, source_pods=Replicas((text,), 1), destination_pods=Replicas((text,), 1), nodes=(text,)
    )


def report_with(text: str) -> Report:
    """One of everything."""
    change = Change(
        source=f"{text}[Deployment]",
        destination=text,
        before=PortMap.EMPTY,
        after=SQL,
        seen=seen(text),
        rules=(RuleRef(policy=text, way="ingress", rule=0),),
    )
    lost = Change(source=text, destination=f"{text}[Job]", before=SQL, after=PortMap.EMPTY, lost=seen(text))
    return Report(
        policies=(1, 1),
        observed=Observed(
            window=(0, 90_000_000_000),
            connections=10,
            explained=9,
            denied=2,
            denied_learned=1,
            allowed=5,
            allowed_before=8,
            used=4,
        ),
        changes=(lost, change),
        closed=7,
        drawing="",
        blocked=(
            Blocked(
                source=text,
                destination=text,
                ports=("TCP/5432",),
                connections=1,
                first_seen=0,
                last_seen=1,
                blocked_by="ingress",
                policies=(text,),
            ),
        ),
        left_out=(
            LeftOut(
                reason="scan",
                text="a new connection of a source that scans",
                source=text,
                destination=text,
                ports=("TCP/1",),
                more_ports=True,
                connections=4,
                first_seen=0,
                last_seen=1,
            ),
        ),
        needless=(("own-node", 2),),
        checks=(ToCheck(urgency=Urgency.BREAKS, about=text, text=text, remedy=text),),
        # Every line of a unified diff begins with a sign, whatever follows.
        yaml="--- old\n+++ new\n" + "".join(f"+{line}\n" for line in text.split("\n")),
    )
