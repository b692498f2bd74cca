"""Every error netpol raises on purpose.

NetpolError              what went wrong, where, and what to do about it
├── InputError           a capture, manifest or policy cannot be read or is invalid     exit 2
├── UsageError           options that do not fit together                               exit 2
├── StoreError           a bucket could not be asked                                    exit 2
├── ClusterError         the live cluster could not be asked                            exit 3
└── ProofError           a generated policy set denies what it was learned from         exit 1

Shallow on purpose: callers print the message and leave with `exit_code`, or they do not catch at all.
"""

from __future__ import annotations

from typing import ClassVar, Self


class NetpolError(Exception):
    """An error that a person can act on.

    Args:
        what: One sentence without a full stop that says what is wrong.
        where: The place, outermost first: a file, then `document 2`, then a field path. Joined by `: ` when printed.
        remedy: One sentence that says what to do.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, what: str, *, where: tuple[str, ...] = (), remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def inside(self, *outer: str) -> Self:
        """The same error seen from further out: `outer` is put before the place."""
        return type(self)(self.what, where=(*outer, *self.where), remedy=self.remedy)

    def __str__(self) -> str:
        place = "".join(f"{part}: " for part in self.where)
        return f"{place}{self.what}" + (f". {self.remedy}" if self.remedy else "")


class InputError(NetpolError):
    """Input that cannot be read or that breaks its format's rules."""


class UsageError(NetpolError):
    """Options or arguments that do not fit together."""


class StoreError(NetpolError):
    """A bucket did not answer, or refused: nothing is known about what is in it."""


class ClusterError(NetpolError):
    """The live cluster did not answer, or refused."""

    exit_code = 3


class ProofError(NetpolError):
    """The generated policies deny a connection that they were learned from: a defect in netpol, never written out."""

    exit_code = 1
