"""What ~/.aws says of a profile: the files that the AWS command line writes (AWS SDKs and Tools Reference Guide).

The object store's client knows the environment, web identities, containers and instances by itself, and not these.
"""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from netpol.errors import UsageError
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT: Final = "default"
_BORROWED: Final = ("role_arn", "sso_session", "sso_start_url", "credential_process", "web_identity_token_file",
                    "login_session")  # fmt: skip
"""With these, a profile has its keys from somewhere else."""
_MOST: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One profile.

    Attributes:
        name: The profile's name.
        key: The id of its access key; empty where it has none.
        secret: That key's other half.
        token: Of temporary keys.
        region: In which its buckets are.
        endpoint: URL of what speaks like S3.
        borrowed: Where its keys come from, where it has none itself.
    """

    name: str
    key: str = ""
    secret: str = ""
    token: str | None = None
    region: str = ""
    endpoint: str = ""
    borrowed: str = ""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """The profile that AWS_PROFILE names, or `default`.

        Raises:
            UsageError: A file cannot be read, or no file has the profile.
        """
        name = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE") or DEFAULT
        home = Path(environment.get("HOME", "~")).expanduser() / ".aws"
        credentials = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials").expanduser()
        config = Path(environment.get("AWS_CONFIG_FILE") or home / "config").expanduser()
        said: dict[str, str] = {}
        known = False
        sections = {config: {f"profile {name}", *([DEFAULT] if name == DEFAULT else [])}, credentials: {name}}
        for path, titles in sections.items():
            parsed = _parsed(path)
            for title in titles & {*parsed.sections()}:
                known = True
                said |= {option: value for option, value in parsed.items(title) if value}
        if not known and name != DEFAULT:
            raise UsageError(
                f"no profile {shown(name)}",
                where=(str(config), str(credentials)),
                remedy="Check AWS_PROFILE, or add it with `aws configure --profile`",
            )
        keyed = said.get("aws_access_key_id", "") and said.get("aws_secret_access_key", "")
        return cls(
            name=name,
            key=said["aws_access_key_id"] if keyed else "",
            secret=said["aws_secret_access_key"] if keyed else "",
            token=said.get("aws_session_token"),
            region=said.get("region", ""),
            endpoint=said.get("endpoint_url", ""),
            borrowed=next((option for option in _BORROWED if option in said), ""),
        )


def _parsed(path: Path) -> configparser.RawConfigParser:
    # Its own default section is off: `[default]` is a profile like any other.
    parser = configparser.RawConfigParser(default_section="", strict=False, inline_comment_prefixes=None)
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_string(file.read(_MOST))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError, configparser.Error):
        # Not repeated: what stands on the line may be a key.
        raise UsageError(
            "cannot be read as a file of AWS profiles", where=(str(path),), remedy="Mend it, or give keys in AWS_..."
        ) from None
    return parser
