"""DNS over TCP (RFC 7766): messages with their lengths before them, several in a segment or one over several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from netpol.capture.name_dns import HEADER
from netpol.capture.name_streams import Stream, Waiting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.capture.name_evidence import NameSink
    from netpol.capture.name_streams import Key, Segment

_MOST: Final = 4096
_MOST_BYTES: Final = 8 << 20
_LONGEST: Final = (1 << 16) + 2
_SYN: Final = 0x02
_CUT: Final = "DNS over TCP connections cut by snaplen, not followed further"
_NOT_ALL: Final = "DNS over TCP connections of which a message was not all captured"
_NO_DNS: Final = "DNS over TCP that could not be followed"


class Message(NamedTuple):
    """A DNS message that does not stand in a block as it is.

    Attributes:
        cut: The snapshot length cut it; `data` is what there is.
        client: The two words of the address to which it went; of a question, from which it came.
        port: The client's.
    """

    data: bytes
    cut: bool
    time: int
    client: tuple[int, int]
    port: int


class Conversations:
    """One direction of the connections of port 53 of one capture."""

    def __init__(self, sink: NameSink, *, questions: bool = False) -> None:
        """Args: questions: it is the clients' direction."""
        self._sink = sink
        self._questions = questions
        self._streams: Waiting[Key, Stream] = Waiting(_MOST, _MOST_BYTES, lambda stream: stream.size, self._give_up)

    def take(self, segments: Iterable[Segment]) -> list[Message]:
        """Takes segments in capture order; returns the messages that are all there now."""
        found: list[Message] = []
        for segment in segments:
            key, opens = segment.key, segment.flags & _SYN
            if opens:
                known = self._streams.get(key)
                if known is None or known.size:
                    self._streams.put(key, Stream(segment.sequence + 1 & 0xFFFF_FFFF, 2 * _LONGEST))
                if not segment.size:
                    continue
            stream = self._streams.get(key) or Stream(segment.sequence, 2 * _LONGEST)
            if not stream.add(segment.sequence + bool(opens), segment.data, segment.size):
                self._streams.drop(key)
                self._give_up()
                continue
            if self._messages(stream, segment, found):
                self._streams.put(key, stream)
            else:
                self._streams.drop(key)
        return found

    def finish(self) -> None:
        """Nothing more comes: what is not all there is counted."""
        for key in self._streams.names():
            stream = self._streams.get(key)
            if stream is not None and stream.size:
                self._sink.count(_NOT_ALL, 1)

    def _messages(self, stream: Stream, segment: Segment, found: list[Message]) -> bool:
        """Takes out the messages; False: this is no DNS."""
        while len(stream.data) >= 2:
            end = 2 + int.from_bytes(stream.data[:2])
            known = stream.known(end)
            if known < 2 or end < 2 + HEADER:
                self._sink.count(_CUT if known < 2 else _NO_DNS, 1)
                return False
            if len(stream.data) < end:
                break
            message = bytes(stream.data[2:known])
            key = segment.key
            client, port = (key.source, key.source_port) if self._questions else (key.destination, key.destination_port)
            found.append(Message(message, known < end, segment.time, client, port))
            stream.let_go(end)
        return True

    def _give_up(self) -> None:
        self._sink.count("DNS over TCP connections given up: too much was missing, or they were too many", 1)
