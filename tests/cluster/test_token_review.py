from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from netpol.cluster import token_review
from netpol.cluster.token_review import MAX_TOKEN, Refused, Reviewed, TokenReviewer, review
from netpol.errors import ClusterError

HUB = ("netpol-hub",)
USER = {
    "username": "system:serviceaccount:netpol:agent",
    "uid": "u1",
    "groups": ["system:serviceaccounts"],
    "extra": {
        "authentication.kubernetes.io/pod-name": ["agent-x"],
        "authentication.kubernetes.io/pod-uid": ["p1"],
        "authentication.kubernetes.io/node-name": ["w1"],
    },
}
GOOD = {"authenticated": True, "user": USER, "audiences": [*HUB]}


class Answer:
    """What the transport hands on of an answer."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self._body = body

    def read1(self, _amount: int) -> bytes:
        body, self._body = self._body, b""
        return body

    def close(self) -> None:
        pass


class Server:
    """An API server at the other end of a connection, which remembers what it was asked."""

    name = "https://k"

    def __init__(self, status: Any = None, code: int = 201) -> None:
        self.status: Any = GOOD if status is None else status
        self.code = code
        self.asked: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def open(self, target: str, _timeout: tuple[float, float], body: bytes | None = None) -> Answer:
        assert (target, body is None) == ("/apis/authentication.k8s.io/v1/tokenreviews", False)
        question = json.loads(body or b"")
        assert (question["apiVersion"], question["kind"]) == ("authentication.k8s.io/v1", "TokenReview")
        with self._lock:
            self.asked.append(question["spec"])
        return Answer(self.code, json.dumps({"kind": "TokenReview", "status": self.status}).encode())


def test_whose_token_it_is() -> None:
    server = Server()
    found = review(server, "t", HUB)
    assert found == Reviewed(
        user="system:serviceaccount:netpol:agent",
        uid="u1",
        groups=("system:serviceaccounts",),
        audiences=HUB,
        pod="agent-x",
        pod_uid="p1",
        node="w1",
    )
    assert isinstance(found, Reviewed)
    assert found.account == ("netpol", "agent")
    assert server.asked == [{"token": "t", "audiences": [*HUB]}]


@pytest.mark.parametrize("user", ["admin", "system:node:w1", "system:serviceaccount:a:b:c", "system:serviceaccount:a"])
def test_other_users_are_no_accounts(user: str) -> None:
    found = review(Server({**GOOD, "user": {"username": user}}), "t", HUB)
    assert isinstance(found, Reviewed)
    assert (found.user, found.account, found.pod, found.node) == (user, None, "", "")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"authenticated": False}, "the API server does not know it"),
        ({}, "the API server does not know it"),
        ({"authenticated": "true", "user": USER, "audiences": [*HUB]}, "the API server does not know it"),
        ({"error": "expired\n\u202e"}, "expired \\u202e"),
        ({"authenticated": True, "user": USER}, "it is meant for somebody else"),
        ({"authenticated": True, "user": USER, "audiences": ["other"]}, "it is meant for somebody else"),
        ({"authenticated": True, "user": USER, "audiences": "netpol-hub"}, "it is meant for somebody else"),
    ],
)
def test_what_is_refused(status: Any, reason: str) -> None:
    assert review(Server(status), "t", HUB) == Refused(reason)


@pytest.mark.parametrize("token", ["", "x" * (MAX_TOKEN + 1), "a\nb", "\u00e9", "\udc80"])
def test_what_is_no_token_is_not_asked_for(token: str) -> None:
    server = Server()
    assert TokenReviewer(server, HUB).review(token) == Refused("it is no token")
    assert server.asked == []


@pytest.mark.parametrize(
    ("server", "what"),
    [
        (Server([]), "not a list"),
        (Server({"authenticated": True}), "not a list"),
        (Server({"authenticated": True, "user": {"username": ""}, "audiences": [*HUB]}), "not a list"),
        (Server(code=403), "may not create tokenreviews"),
        (Server(code=500), "HTTP status 500"),
    ],
)
def test_a_server_that_does_not_say(server: Server, what: str) -> None:
    reviewer = TokenReviewer(server, HUB)
    for _ in range(2):  # that is not remembered
        with pytest.raises(ClusterError, match=what if what != "not a list" else "the answer is not"):
            reviewer.review("t")
    assert len(server.asked) == 2


def test_without_an_audience_nothing_is_proved() -> None:
    with pytest.raises(ValueError, match="somebody else"):
        review(Server(), "t", ())


class TestMemory:
    def test_an_answer_holds_for_a_minute(self) -> None:
        server, now = Server(), [0.0]
        reviewer = TokenReviewer(server, HUB, lambda: now[0])
        for moment, questions in ((0, 1), (59.9, 1), (60, 2), (61, 2)):
            now[0] = moment
            assert isinstance(reviewer.review("t"), Reviewed)
            assert len(server.asked) == questions
        reviewer.review("other")
        assert len(server.asked) == 3

    def test_a_refusal_holds_for_ten_seconds(self) -> None:
        server, now = Server({"authenticated": False}), [0.0]
        reviewer = TokenReviewer(server, HUB, lambda: now[0])
        for moment, questions in ((0, 1), (9, 1), (10, 2)):
            now[0] = moment
            assert isinstance(reviewer.review("t"), Refused)
            assert len(server.asked) == questions
        server.status, now[0] = GOOD, 20
        assert isinstance(reviewer.review("t"), Reviewed)
        assert isinstance(reviewer.review("t"), Reviewed)
        assert len(server.asked) == 3

    @pytest.mark.parametrize(
        ("payload", "until"), [(b'{"exp": 30}', 30), (b'{"exp": "x"}', 60), (b"[]", 60), (b"\xff", 60)]
    )
    def test_it_ends_with_the_token(self, payload: bytes, until: int) -> None:
        token = f"head.{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}.signature"
        server, now = Server(), [0.0]
        reviewer = TokenReviewer(server, HUB, lambda: now[0])
        for moment, questions in ((0, 1), (until - 1, 1), (until, 2)):
            now[0] = moment
            reviewer.review(token)
            assert len(server.asked) == questions

    def test_it_is_bounded_and_guesses_displace_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(token_review, "MAX_REMEMBERED", 10)
        server = Server()
        reviewer = TokenReviewer(server, HUB, lambda: 0.0)
        reviewer.review("good")
        server.status = {"authenticated": False}
        for number in range(100):
            reviewer.review(f"guess-{number}")
        assert isinstance(reviewer.review("good"), Reviewed)
        assert (len(reviewer._accepted), len(reviewer._refused)) == (1, 10)
        assert b"good" not in b"".join(reviewer._accepted)

    def test_from_many_threads(self) -> None:
        server = Server()
        reviewer = TokenReviewer(server, HUB, lambda: 0.0)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda number: reviewer.review(f"t{number % 5}"), range(200)))
        assert all(isinstance(one, Reviewed) for one in found)
        assert 5 <= len(server.asked) <= 40
