"""The hub's certificate, and its successors: whoever rotates it replaces two files, and nothing is restarted."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from netpol.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from netpol.agent.hub.logs import Log


class Certificate:
    """A certificate chain and its key, in PEM files.

    Args:
        chain: The certificate first, then those that signed it.
        key: Without a passphrase.

    Raises:
        InputError: They cannot be read, or do not belong together.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain, self._key = chain, key
        self._stamp = self._look()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._load(self.context)

    def refresh(self, log: Log) -> None:
        """Takes the files anew where they changed; connections that come after this one see the new certificate.

        A pair that cannot be used, because only one of the two was replaced so far, changes nothing.
        """
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            self._load(self.context)
        except InputError as error:
            log.failed("the new certificate cannot be used: the old one stays", error)
            return
        self._stamp = stamp
        log.say("the certificate was read again")

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        try:
            found = [path.stat() for path in (self._chain, self._key)]
        except OSError as error:
            raise InputError(
                f"cannot be read: {error.strerror}",
                where=(str(error.filename),),
                remedy="Give the certificate and its key as PEM files",
            ) from None
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            # Without a passphrase callback OpenSSL would ask on the terminal.
            context.load_cert_chain(self._chain, self._key, password=lambda: "")
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            raise InputError(
                f"no certificate with its key: {ascii(str(reason))[1:-1][:200]}",
                where=(str(self._chain), str(self._key)),
                remedy="Give a PEM certificate and the unencrypted PEM key that belongs to it",
            ) from None
