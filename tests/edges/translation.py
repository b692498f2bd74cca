"""Made-up handshakes whose addresses are rewritten on their way, and conversations with silences."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from netpol.cluster.timeline import Timeline
from netpol.model.inventory import Inventory, Pod, Service, ServicePort, WorkloadRef
from tests.dataset.recordings import START
from tests.flows.reference import ACK, FIN, RST, SECOND, SYN, Packet

if TYPE_CHECKING:
    from random import Random

POD, OTHER_CLIENT, NODE, SERVICE, BALANCER, SERVER, STRANGER = range(11, 18)
"""A client's pod, a client that nobody knows, what it may be rewritten to; a Service, what else leads to its pod, which
is next; another server."""

_UDP, _SCTP = 17, 132
_STEPS = (1000, SECOND, 30 * SECOND, 59 * SECOND, 61 * SECOND, 119 * SECOND, 121 * SECOND, 3600 * SECOND, 7441 * SECOND)


def cluster() -> Timeline:
    """Knows two pods and the Service."""

    def address(number: int) -> IPv4Address:
        return IPv4Address(number)  # as `tests.flows.columns.batch` has it

    def pod(number: int) -> Pod:
        ref = WorkloadRef(namespace="shop", name=f"w{number}", kind="Deployment")
        labels = {"app": ref.name}
        return Pod(
            uid=ref.name, namespace="shop", name=ref.name, workload=ref, labels=labels, addresses=(address(number),)
        )

    service = Service(
        namespace="shop",
        name="s",
        selector={"app": f"w{SERVER}"},
        addresses=(address(SERVICE),),
        ports=(ServicePort(protocol=6, port=80, target=80),),
    )
    return Timeline.of(Inventory(namespaces={}, pods=(pod(POD), pod(SERVER)), services=(service,)))


def handshakes(chance: Random, count: int) -> list[Packet]:
    """Each seen at one to four places, with times from SYN to SYN-ACK that are often alike."""
    packets = []
    for number in range(count):
        begin = START + chance.randint(1, 4) * SECOND
        isn, answer = 1000 + number, 2**32 - 1 - number
        for _ in range(chance.randint(1, 4)):
            client = (chance.choice([POD, POD, OTHER_CLIENT, NODE]), 30000 + number)
            server = (chance.choice([SERVICE, BALANCER, SERVER, STRANGER]), 80)
            syn = begin + chance.randint(0, 3) * 1000
            gap = chance.choice([-500, 500, 500, 1500, None])
            if chance.randint(0, 9):
                packets.append(Packet(time=syn, source=client, destination=server, flags=SYN, sequence=isn))
            if gap is not None:
                packets.append(
                    Packet(
                        time=syn + gap,
                        source=server,
                        destination=client,
                        flags=SYN | ACK,
                        sequence=answer,
                        acknowledgement=isn + 1,
                    )
                )
    return packets


def conversations(chance: Random, count: int) -> list[Packet]:
    """Each with its own 5-tuple, on which there may be silence, an end, or another one."""
    packets = []
    for number in range(count):
        protocol = chance.choice([6, 6, _UDP, _SCTP])
        client, server = (POD, 20000 + number), (SERVER, 80)
        time = START + chance.randint(0, 50) * SECOND
        steps = chance.sample(_STEPS, 2)
        for _ in range(chance.randint(2, 20)):
            time += chance.choice(steps)
            source, destination = (client, server) if chance.randint(0, 1) else (server, client)
            flags = chance.choice([SYN, SYN | ACK, ACK, ACK, ACK, ACK, ACK, FIN | ACK, RST]) if protocol == 6 else 0
            packets.append(
                Packet(
                    time=time,
                    source=source,
                    destination=destination,
                    protocol=protocol,
                    flags=flags,
                    sequence=chance.choice([5, 5, 9]),
                    acknowledgement=6,
                    payload=chance.choice([0, 10]) if flags in {0, ACK} else 0,
                )
            )
    return packets
