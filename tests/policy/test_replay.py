from __future__ import annotations

from dataclasses import replace

import pytest

from netpol.errors import ProofError
from netpol.model.endpoint import UnknownEnd
from netpol.model.flow import ICMP, Direction, Outcome
from netpol.policy.evaluate import Evaluator
from netpol.policy.replay import check, replay
from tests.graph.world import flow, inventory, node, pod
from tests.policy.learning import learn

WEB = pod("web-1", {"app": "web"}, owner="web")
API = pod("api-1", {"app": "api"}, owner="api")
DB = pod("db-0", {"app": "db"}, owner="db", kind="StatefulSet", node="n2")
CLUSTER = inventory([WEB, API, DB], nodes={"n1": "192.168.0.1"})
FLOWS = [flow(WEB, API, 8080, connections=3), flow(API, DB, 5432), flow(WEB, "203.0.113.1", 443)]


def test_what_was_learned_is_admitted() -> None:
    learned = learn(FLOWS, CLUSTER)
    result = replay(learned.admission.observations, learned.evaluator)
    assert (result.admitted, result.denied) == (3, ())
    result.prove()


def test_a_policy_that_denies_what_was_learned_fails_loudly_and_says_which() -> None:
    learned = learn(FLOWS, CLUSTER)
    broken = [replace(policy, ingress=()) for policy in learned.generated.policies]
    result = replay(learned.admission.observations, Evaluator(broken, CLUSTER))
    with pytest.raises(ProofError, match=r"2 of 3 .*shop/api-1 to shop/db-0 on TCP/5432 \(ingress of shop/db\)"):
        result.prove()


def test_every_connection_is_admitted_denied_or_unresolved() -> None:
    learned = learn(FLOWS, CLUSTER)
    others = [
        flow(WEB, DB, 5432, connections=5, outcome=Outcome.REFUSED),
        flow(WEB, [API, DB], 8080, connections=7, service="shop/both"),
        flow(WEB, UnknownEnd(API.addresses[0], "free"), 8080, connections=11),
        flow(WEB, API, None, protocol=ICMP, connections=13),
        flow(WEB, API, None, direction=Direction.UNKNOWN, outcome=Outcome.MIDSTREAM, connections=17),
        flow(node("n1", "192.168.0.1"), WEB, 80, connections=19),
    ]
    result = check([*FLOWS, *others], learned.evaluator)
    assert result.connections == 5 + 5 + 7 + 11 + 13 + 17 + 19
    assert result.admitted == 5 + 19
    assert [(item.flow.flow.connections, item.blocked_by, list(map(str, item.policies))) for item in result.denied] == [
        (5, "egress", ["shop/web"]),
        (7, "egress", ["shop/web"]),
    ]
    assert [item.flow.flow.connections for item in result.unresolved] == [11, 13, 17]
    assert all(item.reason.startswith("undefined: ") for item in result.unresolved)
