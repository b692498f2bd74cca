"""Host names, as the wire gives them and as outputs may hold them."""

from __future__ import annotations

import re
from typing import NewType

HostName = NewType("HostName", str)
"""A host name in lower case, ASCII (internationalised labels as A-labels), without a trailing dot."""

LONGEST_NAME = 253
"""Characters: what 255 octets of RFC 1035 (2.3.4) leave for the dotted form."""

ENCODED = "xn--"
"""How an A-label begins: the form in ASCII of a label with other letters (RFC 5890, 2.3.2.1)."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def host_name(text: str) -> HostName | None:
    """The host name that `text` is, None where it is none.

    Letters, digits and hyphens (RFC 952, RFC 1123 2.1), labels of 1 to 63 octets, 253 characters in all; the last label
    is no number, by which the URL standard tells a name from an IPv4 address ("ends in a number"). A label that says it
    stands for letters beyond ASCII must do so by the rules (IDNA 2008, RFC 5891 5.4): else nobody could look it up, and
    what shows its letters would show something else.

    Args:
        text: In any case, with or without the dot at its end.
    """
    name = text.lower().removesuffix(".")
    # Some letters beyond ASCII become ASCII ones in lower case: the Kelvin sign a k.
    if (
        not text.isascii()
        or len(name) > LONGEST_NAME
        or not _HOST_NAME.fullmatch(name)
        or _NUMBER.fullmatch(name.rpartition(".")[2])
        or (ENCODED in name and not all(_decodes(label) for label in name.split(".") if label.startswith(ENCODED)))
    ):
        return None
    return HostName(name)


def _decodes(label: str) -> bool:
    """Whether an A-label stands for a U-label that stands for it."""
    import idna  # noqa: PLC0415 - few names have such labels

    try:
        return idna.alabel(idna.ulabel(label)) == label.encode()
    except UnicodeError:  # among them idna.IDNAError
        return False
