"""Reads what the packets of one capture say about names: picks those that may, and hands what they say to a sink."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.capture.name_conversations import Conversations, Message
from netpol.capture.name_dns import HEADER
from netpol.capture.name_dns_block import read_responses
from netpol.capture.name_dns_walk import Messages
from netpol.capture.name_evidence import MAPPED, Answers, exchanges
from netpol.capture.name_fragments import Fragments
from netpol.capture.name_greetings import Greetings
from netpol.capture.name_segments import DNS_PORT, kinds_of, pick, watched
from netpol.capture.tunnels import TUNNEL_PORTS
from netpol.capture.views import PAD, fetch
from netpol.model.flow import TCP, UDP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netpol.capture.cursor import Block, FragmentPart, Payloads
    from netpol.capture.name_evidence import NameSink
    from netpol.capture.name_fragments import Whole
    from netpol.capture.name_segments import Kinds, Picked
    from netpol.capture.name_streams import Segment
    from netpol.capture.views import Bytes, Ints

_UDP_HEADER: Final = 8
_PART: Final = 1 << 15
"""Messages read at a time: few enough for what comes of them to stay in the second-level cache."""
_RECENT: Final = 32
"""Segments at the end of a block that are remembered: one may belong behind the start of a stream in the next."""
_QUESTION = np.dtype([("id", ">u2"), ("flags", ">u2"), ("questions", ">u2")])
_NUMBER = np.dtype(">u2")
_FRAGMENTED_TUNNEL: Final = "fragmented tunnel packets, not put together for names"
_FRAGMENTED_TCP: Final = "fragmented TCP packets, not looked at for names"
_GIVEN_UP: Final = "fragmented packets given up for names: too long, too old or too many"


class NameReader:
    """State of one capture: streams and fragments that are not all there yet."""

    def __init__(self, sink: NameSink) -> None:
        self._sink = sink
        self._fragments = Fragments(lambda: sink.count(_GIVEN_UP, 1))
        self._conversations = Conversations(sink)
        self._asking = Conversations(sink, questions=True)
        self._greetings = Greetings(sink)
        self._recent: list[Segment] = []

    def take(self, block: Block, parts: Sequence[Payloads], time: Ints) -> None:
        """Takes a block's packets.

        Args:
            block: The block, decoded.
            parts: Where the payloads of its packets are.
            time: int64[records], packet times.
        """
        data = block.data
        if block.fragments:
            parts = _without_fragments(parts, block.fragments, len(time))
            self._take_wholes(self._fragments.take(block.fragments, data, time), time)
        kinds = [(part, kinds_of(part, data)) for part in parts]
        talk: list[tuple[int, Segment]] = []
        asking: list[tuple[int, Segment]] = []
        openings: list[tuple[int, Segment]] = []
        initials: list[tuple[int, Segment]] = []
        for part, its in kinds:
            if len(its.answers):
                self._take_datagrams(pick(part, its.answers), data, time)
            if len(its.questions):
                self._take_questions(pick(part, its.questions), data, time)
            self._take_hidden(part, its.hidden)
            for index, events in (
                (its.conversation, talk),
                (its.questions_tcp, asking),
                (its.hellos, openings),
                (its.requests, openings),
                (its.initials, initials),
            ):
                if len(index):
                    events.extend(pick(part, index).segments(data, time))
        self._take_messages(self._conversations.take(_in_order(talk)))
        self._take_asked(self._asking.take(_in_order(asking)))
        for segment in _in_order(openings):
            self._greetings.open(segment, self._recent)
        for segment in _in_order(initials):
            self._greetings.initial(segment)
        self._follow(kinds, data, time)
        self._greetings.hand_over()

    def finish(self) -> None:
        """The capture has ended: what is not all there never will be."""
        self._greetings.finish()
        self._conversations.finish()
        self._asking.finish()

    def _take_datagrams(self, its: Picked, data: Bytes, time: Ints) -> None:
        messages = Messages(data, its.at, its.end, its.at + its.size)
        self._answer(messages, time[its.row], its.destination, its.destination_port)

    def _take_messages(self, messages: Sequence[Message]) -> None:
        """Messages from elsewhere, as if they stood in a block."""
        if not messages:
            return
        sizes = np.array([len(each.data) for each in messages], np.int64)
        at = np.cumsum(sizes) - sizes
        data = np.frombuffer(b"".join(each.data for each in messages) + bytes(PAD), np.uint8)
        cut = np.array([each.cut for each in messages], np.int64)
        time = np.array([each.time for each in messages], np.int64)
        clients = np.array([each.client for each in messages], np.uint64)
        ports = np.array([each.port for each in messages], np.uint16)
        self._answer(Messages(data, at, at + sizes, at + sizes + cut), time, clients, ports)

    def _answer(self, messages: Messages, time: Ints, clients: NDArray[np.uint64], ports: NDArray[np.uint16]) -> None:
        for begin in range(0, len(time), _PART):
            part = slice(begin, begin + _PART)
            its = Messages(messages.data, messages.at[part], messages.end[part], messages.wire_end[part])
            self._answer_part(its, time[part], clients[part], ports[part])

    def _answer_part(
        self, messages: Messages, time: Ints, clients: NDArray[np.uint64], ports: NDArray[np.uint16]
    ) -> None:
        found = read_responses(messages)
        for what, count in found.counts.items():
            self._sink.count(what, count)
        if len(found.index):
            self._sink.take_answers(
                Answers(
                    data=messages.data,
                    name_at=messages.at[found.index] + HEADER,
                    name_size=found.name_size,
                    time=time[found.index],
                    client=clients[found.index],
                    exchange=exchanges(
                        clients[found.index],
                        ports[found.index],
                        fetch(messages.data, messages.at[found.index], _NUMBER),
                    ),
                    kind=found.kind,
                    outcome=found.outcome,
                    message=found.message,
                    address=found.address,
                    life=found.life,
                )
            )

    def _take_wholes(self, wholes: Sequence[Whole], time: Ints) -> None:
        """Packets that were fragmented: DNS answers over UDP are the ones that are."""
        messages = []
        for whole in wholes:
            if whole.protocol == TCP:
                self._sink.count(_FRAGMENTED_TCP, 1)
            if whole.protocol != UDP or len(whole.data) < _UDP_HEADER:
                continue
            if TUNNEL_PORTS[int.from_bytes(whole.data[2:4])]:
                self._sink.count(_FRAGMENTED_TUNNEL, 1)
            elif int.from_bytes(whole.data[:2]) == DNS_PORT:
                body = whole.data[_UDP_HEADER:]
                port = int.from_bytes(whole.data[2:4])
                messages.append(Message(body, whole.cut, int(time[whole.row]), whole.destination, port))
        self._take_messages(messages)

    def _take_questions(self, its: Picked, data: Bytes, time: Ints) -> None:
        fields = fetch(data, its.at, _QUESTION)
        asks = (fields["flags"] & 0x8000 == 0) & (fields["questions"] == 1) & (its.end - its.at >= HEADER)
        clients, ports = its.source[asks], its.source_port[asks]
        self._sink.take_questions(clients, exchanges(clients, ports, fields["id"][asks]), time[its.row[asks]])

    def _take_asked(self, messages: Sequence[Message]) -> None:
        """Questions over TCP."""
        asked = [each for each in messages if len(each.data) >= HEADER and not each.data[2] & 0x80]
        if asked:
            clients = np.array([each.client for each in asked], np.uint64)
            ports = np.array([each.port for each in asked], np.uint16)
            numbers = np.array([int.from_bytes(each.data[:2]) for each in asked], np.uint16)
            time = np.array([each.time for each in asked], np.int64)
            self._sink.take_questions(clients, exchanges(clients, ports, numbers), time)

    def _take_hidden(self, part: Payloads, index: Ints) -> None:
        if not len(index):
            return
        its = part.columns
        rows = np.concatenate(
            [each.reshape(len(index), -1) for each in (its.source[index], its.destination[index])], axis=1
        ).astype(np.uint64)
        rows = np.concatenate([rows, its.protocol[index].reshape(-1, 1)], axis=1)
        rows = rows[np.lexsort(rows.T)]
        new = np.ones(len(rows), np.bool_)
        new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
        picked = rows[new]
        half = (picked.shape[1] - 1) // 2
        for row in picked.tolist():
            client, server, protocol = row[:half], row[half:-1], row[-1]
            self._sink.take_hidden(_two_words(client), _two_words(server), protocol)

    def _follow(self, kinds: Sequence[tuple[Payloads, Kinds]], data: Bytes, time: Ints) -> None:
        """Feeds the streams that wait, and remembers the latest segments for those of the next block."""
        watches = self._greetings.watches()
        recent: list[tuple[int, Segment]] = []
        more: list[tuple[int, Segment]] = []
        for part, its in kinds:
            if watches is not None:
                more += pick(part, watched(part, its.data, watches)).segments(data, time)
            recent += pick(part, its.data[-_RECENT:]).segments(data, time)
        for segment in _in_order(more):
            self._greetings.more(segment)
        self._recent = (self._recent + list(_in_order(recent)))[-_RECENT:]


def _in_order(events: list[tuple[int, Segment]]) -> Sequence[Segment]:
    events.sort(key=lambda event: event[0])
    return [segment for _, segment in events]


def _two_words(address: list[int]) -> tuple[int, int]:
    return (address[0], address[1]) if len(address) == 2 else (0, MAPPED | address[0])


def _without_fragments(parts: Sequence[Payloads], fragments: Sequence[FragmentPart], records: int) -> list[Payloads]:
    """Without first fragments, whose payload goes on elsewhere."""
    whole = np.ones(records, np.bool_)
    for each in fragments:
        whole[each.datagrams.cursor.rows] = False
    result = []
    for part in parts:
        usable = whole[part.columns.rows]
        result.append(part._replace(usable=usable if part.usable is None else usable & part.usable))
    return result
