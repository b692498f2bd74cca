"""The client of object stores: with which credentials, for how long it waits, and what its errors mean.

Credentials come from where each cloud's own tools look. For s3://: AWS_ACCESS_KEY_ID and its like, AWS_PROFILE and
~/.aws, web identities, containers and instances; AWS_REGION, AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL. For gs://:
GOOGLE_APPLICATION_CREDENTIALS, application default credentials, instances; STORAGE_EMULATOR_HOST. The rest of what
https://developmentseed.org/obstore lists holds as well.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from netpol.dataset.aws_profile import Profile
from netpol.errors import StoreError, UsageError
from netpol.model.text import plain, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from obstore.store import ClientConfig, GCSStore, S3Config, S3Store

    from netpol.dataset.address import Address

INSTALL: Final = "Install it with `pip install 'netpol-learn[cloud]'`"
UNKNOWN: Final = "the store says"
"""With which an error begins that means nothing that netpol knows."""
_RETRIES: Final = 4
_SILENCE_SECONDS: Final = 15
"""After which nothing more is expected of a store: Ctrl-C waits for that, too. In them it is asked again."""
_KEYED: Final = (
    ("AWS_ACCESS_KEY_ID",),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"),
    ("AWS_SKIP_SIGNATURE",),
)  # fmt: skip
_CONTAINER: Final = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
_EXPORT: Final = 'Run `eval "$(aws configure export-credentials --format env)"` first, or install boto3'
_MOST_TOLD: Final = 200


def store_of(address: Address, environment: Mapping[str, str]) -> S3Store | GCSStore:
    """The client for a part of a bucket; nothing is asked yet.

    Raises:
        UsageError: The client is not installed, or what says where and with what to ask does not fit together.
        StoreError: There are no credentials.
    """
    if find_spec("obstore") is None:
        raise UsageError("reading and writing buckets needs obstore", where=(str(address),), remedy=INSTALL)
    with told(address):
        return _s3(address, environment) if address.scheme == "s3" else _gcs(address, environment)


def _s3(address: Address, environment: Mapping[str, str]) -> S3Store:
    from obstore.store import S3Store  # noqa: PLC0415 - an extra

    named = next(
        (name for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT") if environment.get(name)), ""
    )
    profile = Profile.read(environment)
    endpoint = environment[named] if named else profile.endpoint
    config: dict[str, Any] = {}
    if endpoint:
        config["endpoint"] = _checked(endpoint, named or f"endpoint_url of profile {profile.name}")
    if profile.region and not (environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")):
        config["region"] = profile.region
    provider = None
    if address.anonymous:
        config["skip_signature"] = True
    elif not any(all(environment.get(name) for name in names) for names in _KEYED):
        if profile.borrowed:
            provider = _borrowed(address, profile)
        elif profile.key:
            config |= {"access_key_id": profile.key, "secret_access_key": profile.secret}
            config |= {"session_token": profile.token} if profile.token else {}
        elif environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true" and not any(
            environment.get(name) for name in _CONTAINER
        ):
            raise _no_credentials(address)
    return S3Store(
        address.bucket,
        prefix=address.prefix or None,
        config=cast("S3Config", config),
        client_options=_options(endpoint),
        retry_config=_RETRY,
        credential_provider=provider,
    )


def _borrowed(address: Address, profile: Profile) -> Any:
    """Keys that a profile has from somewhere else, for which AWS' own library is needed."""
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415 - it needs boto3

        return Boto3CredentialProvider()
    except ImportError:
        raise StoreError(
            f"profile {profile.name} has its keys by {profile.borrowed}", where=(str(address),), remedy=_EXPORT
        ) from None
    except Exception as error:  # any of botocore's own
        raise StoreError(
            f"profile {profile.name} gives no keys: {_brief(error)}", where=(str(address),), remedy=_EXPORT
        ) from error


def _gcs(address: Address, environment: Mapping[str, str]) -> GCSStore:
    from obstore.store import GCSStore  # noqa: PLC0415 - an extra

    emulator = environment.get("STORAGE_EMULATOR_HOST", "")
    if emulator:
        url = _checked(emulator if "://" in emulator else f"http://{emulator}", "STORAGE_EMULATOR_HOST")
        return GCSStore(
            address.bucket,
            prefix=address.prefix or None,
            base_url=url,
            bearer_token="emulator",  # noqa: S106 - which asks for none
            client_options=_options(url),
            retry_config=_RETRY,
        )
    return GCSStore(
        address.bucket,
        prefix=address.prefix or None,
        config={"skip_signature": True} if address.anonymous else {},
        client_options=_options(environment.get("GOOGLE_BASE_URL", "")),
        retry_config=_RETRY,
    )


_RETRY: Final[Any] = {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_SILENCE_SECONDS)}


def _options(endpoint: str) -> ClientConfig:
    return {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=5),
        "read_timeout": timedelta(seconds=_SILENCE_SECONDS),
        "timeout": timedelta(seconds=120),
        "user_agent": "netpol",
    }


def _checked(url: str, name: str) -> str:
    """The URL of a server, without a `/` at its end.

    Raises:
        UsageError: It is none. The client would end the process.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not re.fullmatch(r"[!-~]+", url) or parts.query or parts.fragment or parts.username is not None:
        raise UsageError(f"{shown(url)} is no URL of a server", where=(name,), remedy="Give one as https://HOST:PORT")
    return url.rstrip("/")


@contextmanager
def told(address: Address) -> Iterator[None]:
    """The client's errors in netpol's words. That a file is not there stays what it is.

    Raises:
        StoreError: The bucket cannot be asked.
        FileNotFoundError: There is no such file.
    """
    from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra

    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise _meaning(address, error) from error
        raise
    except (BaseError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # a disk here, not the store
        raise _meaning(address, error) from error
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise _meaning(address, error) from None
        raise


def _meaning(address: Address, error: BaseException) -> StoreError:
    text = str(error)
    if re.search(_NONE, text, re.IGNORECASE):
        return _no_credentials(address)
    if re.search(r"service account file|(Open|Decode)Credentials", text):
        what = f"the credentials cannot be used: {_brief(error)}"
        return StoreError(what, where=(str(address),), remedy=_OTHER_KIND)
    for pattern, what, remedy in _MEANINGS[address.scheme]:
        if re.search(pattern, f"{type(error).__name__} {text}"):
            return StoreError(what, where=(str(address),), remedy=remedy)
    return StoreError(f"{UNKNOWN}: {_brief(error)}", where=(str(address),))


_NONE: Final = r"169\.254\.|\[fd00:ec2::|metadata\.google|token request|reading credential|credentials? (file|provider)"
"""What the client says when it looked everywhere for credentials: last, it asks the machine that it is on."""
_OTHER_KIND: Final = (
    "Check the file that GOOGLE_APPLICATION_CREDENTIALS names; in the place of one of another kind than "
    "service_account or authorized_user, give GOOGLE_BEARER_TOKEN=$(gcloud auth print-access-token)"
)
_RIGHTS: Final = "Check that the credentials may list the bucket, and read, write and delete what is in it"
_ANYWHERE: Final = (
    (r"NoSuchBucket|no bucket named|bucket does not exist", "no such bucket", "Check its name, and who is asked"),
    (
        r"Unauthenticated|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|401 Unauthorized",
        "the credentials are not accepted",
        "Check them, and whether they are still valid",
    ),
    (r"PermissionDenied|AccessDenied|403 Forbidden", "not allowed", _RIGHTS),
)
_UNREACHED: Final = (
    r"error sending request|timed out|operation timed out|dns error|connect error|error trying to connect|TimedOut",
    "no answer",
)
_MEANINGS: Final = {
    "s3": (
        *_ANYWHERE,
        (
            r"PermanentRedirect|AuthorizationHeaderMalformed|incorrectly configured region|IllegalLocationConstraint",
            "the bucket is in another region",
            "Set AWS_REGION to the bucket's",
        ),
        (*_UNREACHED, "Check the network, HTTPS_PROXY, AWS_REGION and AWS_ENDPOINT_URL"),
    ),
    "gs": (*_ANYWHERE, (*_UNREACHED, "Check the network, HTTPS_PROXY and STORAGE_EMULATOR_HOST")),
}


def _no_credentials(address: Address) -> StoreError:
    remedy = {
        "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        "gs": "Set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`",
    }[address.scheme]
    public = f"{address.scheme}://anonymous@{address.bucket}"
    return StoreError(
        "no credentials", where=(str(address),), remedy=f"{remedy}; for a public bucket give {public}/..."
    )


def _brief(error: BaseException) -> str:
    """The first line of what the client says: behind it, it tells how it is built."""
    lines = str(error).splitlines() or [type(error).__name__]
    return plain(lines[0])[:_MOST_TOLD]
