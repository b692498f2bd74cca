"""Where a dataset in a bucket lies, as `s3://BUCKET/PREFIX` and `gs://BUCKET/PREFIX` say it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, cast

from netpol.errors import UsageError
from netpol.model.text import shown

_SCHEMES: Final = ("s3", "gs")
_ADDRESS: Final = re.compile(r"(s3|gs)://(?:(anonymous)@)?([^/]*)/?(.*)", re.DOTALL)
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_PART: Final = re.compile(r"[A-Za-z0-9 !_.'()=,:@&$+-]+")
_MOST: Final = 900
"""Bytes of a prefix: names have at most 1,024, of which those of a dataset's own files need some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A part of a bucket.

    Attributes:
        scheme: s3 (Amazon S3, and what speaks like it) or gs (Google Cloud Storage).
        bucket: The bucket's name.
        prefix: With which the names of all objects begin, without a `/` at either end; empty for the whole bucket.
        anonymous: Ask without credentials, as is allowed of public buckets.
    """

    scheme: Literal["s3", "gs"]
    bucket: str
    prefix: str = ""
    anonymous: bool = False

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")


def is_address(text: str) -> bool:
    """Whether an argument names a bucket rather than a file."""
    return text.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES))


def address(text: str) -> Address:
    """Reads `s3://[anonymous@]BUCKET[/PREFIX]` and the same with gs.

    Raises:
        UsageError: It is neither, or the names are none that every store and tool takes as they are.
    """
    found = _ADDRESS.fullmatch(text)
    remedy = "Give s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"
    if found is None:
        raise UsageError(f"{shown(text)} names no bucket", remedy=remedy)
    scheme, anonymous, bucket, rest = found.groups()
    if not _BUCKET.fullmatch(bucket):
        # Not repeated: what stands before an @ may be a key.
        raise UsageError("not the name of a bucket", where=(f"{scheme}://",), remedy=remedy)
    parts = [part for part in rest.split("/") if part]
    if not all(_PART.fullmatch(part) and part.strip(".") for part in parts) or len(rest.encode()) > _MOST:
        raise UsageError(
            f"{shown(rest)} is no prefix that a dataset can have",
            where=(f"{scheme}://{bucket}",),
            remedy="Give one of letters, digits and -_.=, with / between its parts",
        )
    return Address(
        scheme=cast("Literal['s3', 'gs']", scheme), bucket=bucket, prefix="/".join(parts), anonymous=bool(anonymous)
    )
