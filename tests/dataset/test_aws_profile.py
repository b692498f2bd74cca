"""Profiles as the AWS command line writes them (`aws configure`, the SDKs and Tools Reference Guide)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netpol.dataset.aws_profile import Profile
from netpol.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

CREDENTIALS = """\
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key = a%b=c

[staging]
aws_access_key_id = ASIASTAGING
aws_secret_access_key = secret
aws_session_token = token==
"""
CONFIG = """\
[default]
region = eu-central-1

[profile staging]
region = eu-west-1
endpoint_url = https://objects.example
s3 =
    addressing_style = path

[profile borrowed]
role_arn = arn:aws:iam::1:role/x
source_profile = default

[staging]
region = nowhere
"""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(CREDENTIALS)
    (tmp_path / ".aws" / "config").write_text(CONFIG)
    return {"HOME": str(tmp_path)}


def test_the_default_profile(home: dict[str, str]) -> None:
    assert Profile.read(home) == Profile(name="default", key="AKIADEFAULT", secret="a%b=c", region="eu-central-1")  # noqa: S106


def test_one_that_is_named(home: dict[str, str]) -> None:
    found = Profile.read({**home, "AWS_PROFILE": "staging"})
    assert (found.key, found.secret, found.token) == ("ASIASTAGING", "secret", "token==")
    assert (found.region, found.endpoint, found.borrowed) == ("eu-west-1", "https://objects.example", "")


def test_one_whose_keys_come_from_elsewhere(home: dict[str, str]) -> None:
    found = Profile.read({**home, "AWS_PROFILE": "borrowed"})
    assert (found.key, found.borrowed) == ("", "role_arn")


def test_files_that_lie_elsewhere(home: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("[default]\naws_access_key_id=A\naws_secret_access_key=B\n")
    found = Profile.read({**home, "AWS_SHARED_CREDENTIALS_FILE": str(other), "AWS_CONFIG_FILE": "/dev/null"})
    assert (found.key, found.secret, found.region) == ("A", "B", "")


def test_without_files_there_is_an_empty_default(tmp_path: Path) -> None:
    assert Profile.read({"HOME": str(tmp_path)}) == Profile(name="default")
    with pytest.raises(UsageError, match="no profile 'staging'"):
        Profile.read({"HOME": str(tmp_path), "AWS_PROFILE": "staging"})


@pytest.mark.parametrize("text", ["aws_secret_access_key = hidden", "[default\nx = hidden", "\xff\xfe hidden", "\0"])
def test_files_that_are_none(home: dict[str, str], tmp_path: Path, text: str) -> None:
    (tmp_path / ".aws" / "credentials").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match="cannot be read as a file of AWS profiles") as raised:
        Profile.read(home)
    assert "hidden" not in str(raised.value)
