from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.dataset.address import Address, address, is_address
from netpol.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://records", Address(scheme="s3", bucket="records")),
        ("s3://records/", Address(scheme="s3", bucket="records")),
        ("s3://records/a/b=1", Address(scheme="s3", bucket="records", prefix="a/b=1")),
        ("gs://my.bucket_1//a//", Address(scheme="gs", bucket="my.bucket_1", prefix="a")),
        ("gs://anonymous@public/a", Address(scheme="gs", bucket="public", prefix="a", anonymous=True)),
    ],
)
def test_addresses(text: str, expected: Address) -> None:
    assert is_address(text)
    assert address(text) == expected


@pytest.mark.parametrize(
    "text",
    ["s3://", "s3:///a", "s3://UPPER/a", "s3://ab", "s3://key:secret@records/a", "s3://records/../a", "s3://records/./a",
     "s3://records/a?b", "s3://records/a#b", "s3://records/a%2e", "s3://records/a\nb", "s3://records/\x1b[2J",
     "gs://records/" + "a" * 1000, "s3://records:80/a", "s3://rec ords/a"],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        address(text)
    assert "secret" not in str(raised.value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("text", ["records", "s3", "S3://records/a", "s3:/records", "hub://", "-", "./s3://x"])
def test_what_is_a_path(text: str) -> None:
    assert not is_address(text)


@given(st.text())
def test_an_address_reads_back_as_itself(rest: str) -> None:
    try:
        found = address(f"s3://{rest}")
    except UsageError:
        return
    assert address(str(found)) == Address(scheme="s3", bucket=found.bucket, prefix=found.prefix)
