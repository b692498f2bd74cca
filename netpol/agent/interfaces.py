"""Which network interfaces there are and count, while pods come and go."""

from __future__ import annotations

import contextlib
import socket
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_RTMGRP_LINK: Final = 1
_MOST_NEWS: Final = 1 << 16
_MOST_REMEMBERED: Final = 1 << 12


class Interfaces:
    """The interfaces of this network namespace, as they are now.

    The kernel tells over rtnetlink(7) when one appears or vanishes; which there are is then asked anew, so that a
    message that was lost does no harm.

    Attributes:
        indices: Of those that count.
        counted: Of those that count or did: packets may come out of the ring when their interface is gone.
        all_of_them: No pattern was given.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        """Interfaces whose name matches one of the patterns, as in a shell; without patterns all."""
        self._patterns = tuple(patterns)
        self.all_of_them = not patterns
        self.indices: frozenset[int] = frozenset()
        self.counted: frozenset[int] = frozenset()
        self._news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._news.setblocking(False)
        self._news.bind((0, _RTMGRP_LINK))
        self._look()

    def fileno(self) -> int:
        """For whoever waits for news."""
        return self._news.fileno()

    def changed(self) -> bool:
        """Takes the news; True if other interfaces count than before."""
        heard = False
        try:
            while self._news.recv(_MOST_NEWS):
                heard = True
        except BlockingIOError:
            pass
        except OSError:  # ENOBUFS: more news than there was room for
            heard = True
        before = self.indices
        if heard:
            self._look()
        return self.indices != before

    def _look(self) -> None:
        with contextlib.suppress(OSError):  # one vanished while they were listed: the news of that will follow
            self.indices = frozenset(
                index
                for index, name in socket.if_nameindex()
                if not self._patterns or any(fnmatchcase(name, pattern) for pattern in self._patterns)
            )
            # The kernel gives no index twice, until it has given two thousand million.
            self.counted = self.indices | (self.counted if len(self.counted) < _MOST_REMEMBERED else frozenset())

    def close(self) -> None:
        """No more news."""
        self._news.close()
