"""Takes a bearer token; tells whose it is, as the API server says (authentication.k8s.io/v1, TokenReview)."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from netpol.cluster.asking import ask, strange
from netpol.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netpol.cluster.access import Opener

PATH: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
MAX_TOKEN: Final = 16 << 10
"""Characters; a longer token is refused unasked. Projected tokens have about a thousand."""
REMEMBERED_SECONDS: Final = 60.0
"""For so long, but not beyond the token's own expiry, an answer holds: then a pod that was deleted is refused."""
REFUSED_SECONDS: Final = 10.0
"""The same for a refusal."""
MAX_REMEMBERED: Final = 4096
_EXTRA: Final = "authentication.kubernetes.io/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """Whose token it is.

    Attributes:
        user: `system:serviceaccount:NAMESPACE:NAME` for a service account's.
        uid: Of that account.
        groups: The user's groups.
        audiences: Those asked for that the token is meant for.
        pod: The pod that a projected token is bound to, empty for others.
        pod_uid: Its uid.
        node: The node on which that pod runs; empty where the API server is older than 1.30 and does not say.
    """

    user: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    pod: str = ""
    pod_uid: str = ""
    node: str = ""

    @property
    def account(self) -> tuple[str, str] | None:
        """Namespace and name of the service account, None for other users."""
        parts = self.user.split(":")
        return (parts[2], parts[3]) if len(parts) == 4 and parts[:2] == ["system", "serviceaccount"] else None


@dataclass(frozen=True, slots=True)
class Refused:
    """The token is nobody's.

    Attributes:
        reason: One sentence, printable ASCII.
    """

    reason: str


Answer = Reviewed | Refused


def review(connection: Opener, token: str, audiences: tuple[str, ...]) -> Answer:
    """Asks the API server whose token it is.

    Args:
        connection: With the right to create tokenreviews.
        token: As it came; anything.
        audiences: For one of which the token must be meant. Without any, the API server's own would do: a token of any
            pod.

    Raises:
        ValueError: No audience.
        ClusterError: The API server did not answer, or refused to say.
    """
    if not audiences:
        raise ValueError("a token that is meant for somebody else proves nothing")
    if not token or len(token) > MAX_TOKEN or not token.isascii() or not token.isprintable():
        return Refused("it is no token")
    wanted = {"token": token, "audiences": list(audiences)}
    question = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": wanted}
    status, answer = ask(connection, PATH, {}, json.dumps(question).encode())
    if status not in {200, 201}:
        raise _unable(connection, status)
    return _read(connection, answer, audiences)


@dataclass(slots=True)
class TokenReviewer:
    """The same with a memory, so that an agent that sends every second costs one question a minute.

    Tokens are not kept, only their hashes. Refusals are remembered apart: guesses displace nobody's token.
    """

    connection: Opener
    audiences: tuple[str, ...]
    clock: Callable[[], float] = time.time
    _accepted: OrderedDict[bytes, tuple[float, Answer]] = field(default_factory=OrderedDict)
    _refused: OrderedDict[bytes, tuple[float, Answer]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def remembered(self, token: str) -> Answer | None:
        """What is known of a token without asking anybody; None where nothing is."""
        key, now = _key(token), self.clock()
        with self._lock:
            for memory in (self._accepted, self._refused):
                found = memory.get(key)
                if found is not None and now < found[0]:
                    memory.move_to_end(key)
                    return found[1]
        return None

    def review(self, token: str) -> Answer:
        """Whose token it is, as known for a minute at most.

        Raises:
            ClusterError: As for `review`; that is not remembered.
        """
        if (known := self.remembered(token)) is not None:
            return known
        key, now = _key(token), self.clock()
        answer = review(self.connection, token, self.audiences)
        accepted = isinstance(answer, Reviewed)
        until = min(now + REMEMBERED_SECONDS, _expiry(token)) if accepted else now + REFUSED_SECONDS
        with self._lock:
            memory = self._accepted if accepted else self._refused
            (self._refused if accepted else self._accepted).pop(key, None)
            memory[key] = (until, answer)
            memory.move_to_end(key)
            if len(memory) > MAX_REMEMBERED:
                memory.popitem(last=False)
        return answer


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def _read(connection: Opener, answer: Any, audiences: tuple[str, ...]) -> Answer:
    status = answer.get("status") if isinstance(answer, dict) else None
    if not isinstance(status, dict):
        raise strange(connection, PATH)
    if status.get("authenticated") is not True:
        reason = status.get("error")
        return Refused(_shown(reason) if isinstance(reason, str) and reason else "the API server does not know it")
    user = status.get("user")
    if not isinstance(user, dict) or not isinstance(user.get("username"), str) or not user["username"]:
        raise strange(connection, PATH)
    # "An authenticator that does not support audiences leaves them out": such a token is meant for the API server.
    meant = tuple(one for one in _texts(status.get("audiences")) if one in audiences)
    if not meant:
        return Refused("it is meant for somebody else")
    extra = user.get("extra")
    extra = extra if isinstance(extra, dict) else {}
    return Reviewed(
        user=user["username"],
        uid=user["uid"] if isinstance(user.get("uid"), str) else "",
        groups=_texts(user.get("groups")),
        audiences=meant,
        pod=_only(extra, "pod-name"),
        pod_uid=_only(extra, "pod-uid"),
        node=_only(extra, "node-name"),
    )


def _only(extra: Mapping[str, Any], name: str) -> str:
    values = _texts(extra.get(_EXTRA + name))
    return values[0] if len(values) == 1 else ""


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _shown(reason: str) -> str:
    return ascii(" ".join(reason.split())[:200])[1:-1]


def _unable(connection: Opener, status: int) -> ClusterError:
    may_not = status in {401, 403}
    what = "may not create tokenreviews" if may_not else f"the API server answered with HTTP status {status}"
    remedy = "Grant the verb create on tokenreviews (authentication.k8s.io)" if may_not else "Try again later"
    return ClusterError(what, where=(connection.name, PATH), remedy=remedy)


def _expiry(token: str) -> float:
    """When the token says that it expires (RFC 7519, exp), which the API server checked; infinity without."""
    try:
        payload = token.split(".")[1]
        expiry = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))).get("exp")
    except (IndexError, ValueError, AttributeError, RecursionError):
        return float("inf")
    return float(expiry) if isinstance(expiry, int | float) else float("inf")
