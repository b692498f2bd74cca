"""ClientHellos and HTTP requests of one capture, in one packet or over several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.capture import name_quic
from netpol.capture.name_evidence import Greeting, Trait
from netpol.capture.name_http import LONGEST_HEAD, PREFACE, read_requests
from netpol.capture.name_segments import WATCHES, watch_number
from netpol.capture.name_streams import Stream, Waiting
from netpol.capture.name_tls import LONGEST_HELLO, handshake_of, message_size, read_hello
from netpol.model.flow import TCP, UDP

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.capture.name_evidence import NameSink
    from netpol.capture.name_quic import Initial, Keys
    from netpol.capture.name_streams import Key, Segment
    from netpol.capture.views import Mask

_MOST: Final = 1024
_MOST_BYTES: Final = 8 << 20
_MOST_SEGMENTS: Final = 64
"""Segments after which waiting is in vain: all there is so far is read again with each of them."""
_REMEMBERED: Final = 8192
"""Greetings that are known when they are captured again, at another place or because they were sent again."""

_TLS_RECORD: Final = 0x16
_UNREADABLE = "unreadable ClientHellos"
_CUT = "ClientHellos cut by snaplen, or not all captured, before their name"
_HTTP2 = "HTTP/2 connections without TLS, whose hosts are not read"
_GIVEN_UP = "ClientHellos and requests given up: the rest did not come, or they were too many"


class _Opening:
    """The start of a TCP connection, or of a request in it, that is not all there."""

    def __init__(self, segment: Segment, limit: int) -> None:
        self.sequence = segment.sequence
        self.stream = Stream(segment.sequence, limit)
        self.time = segment.time
        self.segments = 0


class _Quic:
    """A QUIC connection whose ClientHello is not all there."""

    def __init__(self, connection: bytes, keys: Keys) -> None:
        self.connection = connection
        self.keys = keys
        self.crypto = name_quic.CryptoStream()
        self.time = 0


class Greetings:
    """What clients say first. What is found is handed over by `hand_over`."""

    def __init__(self, sink: NameSink) -> None:
        self._sink = sink
        self._found: list[Greeting] = []
        self._openings: Waiting[Key, _Opening] = Waiting(
            _MOST, _MOST_BYTES, lambda opening: opening.stream.size, self._give_up
        )
        self._quic: Waiting[Key, _Quic] = Waiting(_MOST, _MOST_BYTES, lambda each: each.crypto.size, self._give_up)
        self._known: dict[tuple[Key, int | bytes], None] = {}

    def open(self, segment: Segment, recent: Iterable[Segment]) -> None:
        """A segment that begins as a ClientHello or as a request; `recent`: some that came before it."""
        if (segment.key, segment.sequence) in self._known:
            return
        waiting = self._openings.get(segment.key)
        if waiting is not None and (segment.sequence - waiting.sequence) & 0xFFFF_FFFF < LONGEST_HELLO:
            return  # captured again, or the middle of something: `more` takes it
        limit = LONGEST_HELLO + 1024 if segment.data[:1] == bytes([_TLS_RECORD]) else LONGEST_HEAD
        if self._try(segment.key, segment.sequence, segment.time, segment.data, cut=len(segment.data) < segment.size):
            return
        opening = _Opening(segment, limit)
        self._openings.put(segment.key, opening)
        for each in (segment, *recent):
            if each.key == segment.key and segment.key in self._openings:
                self.more(each)

    def more(self, segment: Segment) -> None:
        """A segment of a connection that may be waited for."""
        opening = self._openings.get(segment.key)
        if opening is None:
            return
        opening.segments += 1
        fits = opening.stream.add(segment.sequence, segment.data, segment.size)
        if not fits or opening.segments > _MOST_SEGMENTS:
            self._last_look(segment.key, opening)
            return
        opening.time = max(opening.time, segment.time)
        stream = opening.stream
        known = stream.known(len(stream.data))
        data = bytes(stream.data[:known])
        if self._try(segment.key, opening.sequence, opening.time, data, cut=known < len(stream.data)):
            self._openings.drop(segment.key)
        else:
            self._openings.put(segment.key, opening)

    def initial(self, segment: Segment) -> None:
        """A UDP datagram that begins as an Initial packet, of either side."""
        if len(segment.data) < segment.size:
            self._sink.count("QUIC packets cut by snaplen", 1)
        for initial in name_quic.initials(segment.data):
            self._initial(segment, initial)

    def watches(self) -> Mask | None:
        """bool[WATCHES]: where segments of connections fall that are waited for; None: none is."""
        if not len(self._openings):
            return None
        watches = np.zeros(WATCHES, np.bool_)
        watches[[watch_number(key) for key in self._openings.names()]] = True
        return watches

    def hand_over(self) -> None:
        """Gives what was found to the sink."""
        if self._found:
            found, self._found = self._found, []
            self._sink.take_greetings(found)

    def finish(self) -> None:
        """Nothing more comes: what is there of those that wait is looked at once more."""
        for key in self._openings.names():
            opening = self._openings.get(key)
            if opening is not None:
                self._last_look(key, opening)
        for key in self._quic.names():
            state = self._quic.get(key)
            if state is not None:
                self._say_hello(key, state.connection, state.time, UDP, state.crypto.start())
        self.hand_over()

    def _try(self, key: Key, sequence: int, time: int, data: bytes, *, cut: bool) -> bool:
        """Reads what a connection begins with; False: more of it must come."""
        if data[:1] != bytes([_TLS_RECORD]):
            return self._try_request(key, sequence, time, data, cut=cut)
        handshake = handshake_of(data)
        if handshake is None:
            return True
        message, whole = handshake
        if not whole and not cut:
            return False
        self._say_hello(key, sequence, time, TCP, message)
        return True

    def _try_request(self, key: Key, sequence: int, time: int, data: bytes, *, cut: bool) -> bool:
        if data.startswith(PREFACE):
            self._remember(key, sequence)
            self._sink.count(_HTTP2, 1)
            return True
        requests, more = read_requests(data)
        if more and not cut:
            return False
        if requests:
            self._remember(key, sequence)
            self._sink.count("HTTP requests", len(requests))
        for name, traits in requests:
            self._found.append(_greeting(key, TCP, time, name, traits))
        return True

    def _say_hello(self, key: Key, mark: int | bytes, time: int, protocol: int, message: bytes) -> None:
        hello = read_hello(message)
        self._remember(key, mark)
        if hello is None:
            self._sink.count(_UNREADABLE, 1)
            return
        self._sink.count("ClientHellos" if protocol == TCP else "ClientHellos in QUIC", 1)
        if Trait.CUT in hello.traits:
            self._sink.count(_CUT, 1)
        if Trait.ENCRYPTED_HELLO in hello.traits:
            self._sink.count("ClientHellos with Encrypted Client Hello", 1)
        self._found.append(_greeting(key, protocol, time, hello.name, hello.traits))

    def _last_look(self, key: Key, opening: _Opening) -> None:
        stream = opening.stream
        data = bytes(stream.data[: stream.known(len(stream.data))])
        self._openings.drop(key)
        self._give_up()
        self._try(key, opening.sequence, opening.time, data, cut=True)

    def _initial(self, segment: Segment, initial: Initial) -> None:
        key = segment.key
        if (key, initial.connection) in self._known:
            return
        state = self._quic.get(key)
        frames = name_quic.unprotected(initial, state.keys) if state else None
        if frames is None:
            # A new connection, or one that goes on after a Retry with another connection ID.
            keys = name_quic.client_keys(initial.version, initial.connection)
            frames = name_quic.unprotected(initial, keys)
            if frames is None:
                return  # the server's, or no QUIC
            if state is None or state.connection != initial.connection:
                state = _Quic(initial.connection, keys)
        assert state is not None  # noqa: S101 - frames were read with its keys
        state.time = segment.time
        for offset, data in name_quic.crypto_parts(frames):
            if not state.crypto.add(offset, data):
                self._quic.drop(key)
                self._give_up()
                return
        message = state.crypto.start()
        need = message_size(message)
        if need is None or len(message) < need:
            self._quic.put(key, state)
            return
        self._quic.drop(key)
        self._say_hello(key, state.connection, segment.time, UDP, message)

    def _remember(self, key: Key, mark: int | bytes) -> None:
        self._known[key, mark] = None
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]

    def _give_up(self) -> None:
        self._sink.count(_GIVEN_UP, 1)


def _greeting(key: Key, protocol: int, time: int, name: bytes, traits: Trait) -> Greeting:
    return Greeting(
        client=key.source,
        server=key.destination,
        protocol=protocol,
        port=key.destination_port,
        time=time,
        name=name,
        traits=traits,
    )
