"""Who asks the hub, and what they may: from the token of a request.

Agents send `Authorization: Bearer TOKEN`. Readers may send X-Netpol-Token instead, because the API server's service
proxy keeps the Authorization header for itself. Nothing else in a request is believed: neither X-Forwarded-For nor
X-Remote-User, which anybody can write.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

from netpol.agent.hub.limits import Buckets
from netpol.agent.hub.refusals import AWAY, BUSY, FORBIDDEN, UNKNOWN, RefusedError
from netpol.agent.hub.tokens import MOST_TOKEN, Caller, TokenFile
from netpol.cluster.token_review import Reviewed
from netpol.errors import InputError, NetpolError, UsageError
from netpol.model.labels import is_dns_label, is_dns_subdomain
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from netpol.agent.hub.logs import Log
    from netpol.cluster.token_review import Answer

AUDIENCE: Final = "netpol-hub"
"""What service-account tokens for the hub are made out to: one that leaks opens nothing else."""
TOKEN_HEADER: Final = "x-netpol-token"  # noqa: S105 - the name of a header
_ACCOUNT: Final = "system:serviceaccount:"
_USER: Final = "user:"
_FAILURES_A_SECOND, _FAILURES_AT_ONCE = 1.0, 20
_REVIEWS_AT_ONCE: Final = 8
_REFRESH_SECONDS: Final = 5.0

Right = Literal["write", "read"]


class Reviewer(Protocol):
    """Asks the API server about tokens that are made out to the hub, and remembers for a while what it said."""

    def remembered(self, token: str) -> Answer | None:
        """What it said, None where it has to be asked."""
        ...

    def review(self, token: str) -> Answer:
        """The same, asked where it has to be.

        Raises:
            ClusterError: The API server could not be asked.
        """
        ...


@dataclass(frozen=True, slots=True)
class Rights:
    """Which users of the cluster may write and read, by their names in RBAC."""

    writers: frozenset[str]
    readers: frozenset[str]

    @classmethod
    def of(cls, writers: Iterable[str], readers: Iterable[str]) -> Rights:
        """From NAMESPACE/NAME of service accounts, and `user:NAME`.

        Raises:
            UsageError: One is neither.
        """
        return cls(frozenset(map(_user, writers)), frozenset(map(_user, readers)))

    def caller(self, found: Reviewed) -> Caller:
        """What a user may."""
        return Caller(
            name=found.user,
            writes=found.user in self.writers,
            reads=found.user in self.readers,
            node=found.node or None,
        )


def _user(text: str) -> str:
    if text.startswith(_USER) and len(text) > len(_USER):
        return text.removeprefix(_USER)
    namespace, slash, name = text.partition("/")
    if not slash or not is_dns_label(namespace) or not is_dns_subdomain(name):
        raise UsageError(
            f"{shown(text)} is no service account",
            remedy="Name one as NAMESPACE/NAME, or another user as user:NAME",
        )
    return f"{_ACCOUNT}{namespace}:{name}"


class Callers:
    """Knows callers by their tokens. For one event loop.

    Args:
        tokens: Tokens in a file.
        reviewer: Asks the API server.
        rights: What its users may.
        log: Told when the file or the API server is of no use.
        clock: Seconds, from anywhere.
    """

    def __init__(
        self,
        *,
        tokens: TokenFile | None,
        reviewer: Reviewer | None,
        rights: Rights,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens, self._reviewer, self._rights, self._log, self._clock = tokens, reviewer, rights, log, clock
        self._failures = Buckets(_FAILURES_A_SECOND, _FAILURES_AT_ONCE, clock)
        self._reviews = asyncio.Semaphore(_REVIEWS_AT_ONCE)
        self._refreshed = clock()

    async def caller(self, headers: Mapping[str, str], peer: str, right: Right) -> Caller:
        """Who asks, if they may.

        Args:
            headers: Of the request, in lower case.
            peer: The address that it came from: who fails again and again has to wait.
            right: What they want.

        Raises:
            RefusedError: UNKNOWN without a token that is known, FORBIDDEN where its owner may not, BUSY after too many
                failures, AWAY where the API server could not be asked.
        """
        token = _token(headers, right)
        caller = await self._known(token, peer)
        if caller is None:
            if wait := self._failures.take(peer):
                raise RefusedError(BUSY, "too many wrong tokens", "wrong tokens", after=int(wait) + 1)
            raise RefusedError(UNKNOWN, "the token is not known", "unknown token")
        if not (caller.writes if right == "write" else caller.reads):
            self._log.warn("refused", caller=caller.name, wanted=right)
            raise RefusedError(FORBIDDEN, f"{caller.name} may not {right}", "no right")
        return caller

    async def _known(self, token: str, peer: str) -> Caller | None:
        if self._tokens is not None:
            self._refresh(self._tokens)
            if (caller := self._tokens.caller(token)) is not None:
                return caller
        if self._reviewer is None:
            return None
        found = self._reviewer.remembered(token) or await self._review(self._reviewer, token, peer)
        return self._rights.caller(found) if isinstance(found, Reviewed) else None

    async def _review(self, reviewer: Reviewer, token: str, peer: str) -> Answer:
        if self._failures.is_empty(peer):
            # Whoever sends nonsense may not keep the API server busy with it.
            raise RefusedError(BUSY, "too many wrong tokens", "wrong tokens", after=5)
        try:
            async with self._reviews:
                return await asyncio.to_thread(reviewer.review, token)
        except NetpolError as error:
            self._log.failed("tokens cannot be reviewed", error)
            raise RefusedError(AWAY, "the API server cannot be asked about tokens", "no review", after=10) from None

    def _refresh(self, tokens: TokenFile) -> None:
        if self._clock() - self._refreshed < _REFRESH_SECONDS:
            return
        self._refreshed = self._clock()
        try:
            if tokens.refresh():
                self._log.say("the token file was read again")
        except InputError as error:
            self._log.failed("the token file cannot be used: what it said before holds on", error)


def _token(headers: Mapping[str, str], right: Right) -> str:
    token = headers.get(TOKEN_HEADER, "") if right == "read" else ""
    if not token:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = ""
    token = token.strip()
    if not token or len(token) > MOST_TOKEN:
        raise RefusedError(UNKNOWN, "no token", "no token")
    return token
