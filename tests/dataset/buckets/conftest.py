from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from obstore.store import GCSStore, S3Store

from tests.dataset.buckets.servers import ask, gcs_server, s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Store:
    """A bucket of its own for each test, and how to change what is in it behind netpol's back."""

    url: str
    bucket: str
    scheme: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}"

    def put(self, name: str, data: bytes) -> None:
        self._client().put(name, data)

    def get(self, name: str) -> bytes:
        return bytes(self._client().get(name).bytes())

    def _client(self) -> S3Store | GCSStore:
        if self.scheme == "gs":
            return GCSStore(self.bucket, base_url=self.url, bearer_token="x", client_options={"allow_http": True})  # noqa: S106
        return S3Store(self.bucket, client_options={"allow_http": True})


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No credentials, and no cloud around it: the address of its metadata is one where nobody answers."""
    for name in os.environ:
        if name.startswith(("AWS_", "GOOGLE_", "STORAGE_EMULATOR")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def _s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("moto") / "log") as url:
        yield url


@pytest.fixture(scope="session")
def _gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with gcs_server(tmp_path_factory.mktemp("gcs") / "log") as url:
        yield url


@pytest.fixture
def s3(_s3: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store(_s3, f"bucket-{next(_NUMBERS)}", "s3")
    ask("PUT", f"{store.url}/{store.bucket}")
    for name, value in {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "ENDPOINT_URL": store.url}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return store


@pytest.fixture
def gcs(_gcs: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store(_gcs, f"bucket-{next(_NUMBERS)}", "gs")
    body = f'{{"name": "{store.bucket}"}}'.encode()
    ask("POST", f"{store.url}/storage/v1/b?project=x", body, **{"Content-Type": "application/json"})
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.url.removeprefix("http://"))
    return store


@pytest.fixture(params=["s3", "gcs"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each in turn."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Store)
    return found
