"""Buckets that cannot be asked: one line that says what, where and what to do, exit 2, and no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from netpol.dataset.bucket import place_of
from netpol.dataset.folder import Dataset
from netpol.errors import NetpolError, StoreError, UsageError
from tests.cli.conftest import netpol
from tests.cluster.watching import wait_until
from tests.dataset.buckets.servers import free_port, serving
from tests.dataset.buckets.test_buckets import WINDOWS_
from tests.dataset.recordings import read

if TYPE_CHECKING:
    from tests.cli.conftest import Netpol
    from tests.dataset.buckets.conftest import Store

__all__ = ["netpol"]

ROOT = Path(__file__).parents[3]


class Refusing(BaseHTTPRequestHandler):
    """Answers all requests alike, as the S3 and XML APIs do."""

    status: ClassVar[int]
    code: ClassVar[str]

    def _refuse(self) -> None:
        body = f"<Error><Code>{self.code}</Code><Message>no</Message></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _refuse  # noqa: N815 - as the standard library calls them

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return monkeypatch


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "AccessDenied", "not allowed. Check that the credentials may list"),
        (403, "SignatureDoesNotMatch", "the credentials are not accepted"),
        (403, "InvalidAccessKeyId", "the credentials are not accepted"),
        (400, "ExpiredToken", "the credentials are not accepted"),
        (401, "Unauthorized", "the credentials are not accepted"),
        (404, "NoSuchBucket", "no such bucket"),
        (301, "PermanentRedirect", "the bucket is in another region. Set AWS_REGION"),
        (400, "AuthorizationHeaderMalformed", "the bucket is in another region. Set AWS_REGION"),
        (418, "Teapot", "the store says: "),
    ],
)
def test_what_a_store_answers(
    netpol: Netpol, keys: pytest.MonkeyPatch, tmp_path: Path, status: int, code: str, says: str
) -> None:
    with serving(type("Handler", (Refusing,), {"status": status, "code": code})) as url:
        keys.setenv("AWS_ENDPOINT_URL", url)
        for words in (
            ("flows", "s3://records/a"),
            ("dataset", "inspect", "s3://records/a"),
            ("dataset", "merge", "s3://records/a", tmp_path),
        ):
            answer = netpol(*words)
            assert (answer.code, answer.out) == (2, "")
            assert answer.err.startswith(f"netpol: s3://records/a: {says}")
            assert len(answer.err.splitlines()) == 1
            assert "secret" not in answer.err


def test_nobody_there(netpol: Netpol, keys: pytest.MonkeyPatch) -> None:
    keys.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    answer = netpol("flows", "s3://records/a")
    assert answer.code == 2
    assert answer.err.startswith("netpol: s3://records/a: no answer. Check the network")


@pytest.mark.parametrize(
    "url", ["records", "ftp://h", "http://", "http://h:99999", "http://u:p@h", "http://h/?a", "http:// h"]
)
@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_endpoints_that_are_none(keys: pytest.MonkeyPatch, name: str, url: str) -> None:
    keys.setenv(name, url)
    with pytest.raises(UsageError, match=f"{name}: .* is no URL of a server") as raised:
        place_of("s3://records/a")
    assert raised.value.exit_code == 2


def test_an_emulator_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "host:port")
    with pytest.raises(UsageError, match="STORAGE_EMULATOR_HOST"):
        place_of("gs://records/a")


def test_without_credentials() -> None:
    with pytest.raises(
        StoreError, match=r"s3://records/a: no credentials. Set AWS_ACCESS_KEY_ID .* s3://anonymous@records"
    ):
        place_of("s3://records/a")


def test_google_credentials_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(NetpolError, match=r"gs://records/a: the credentials cannot be used: .*none.json"):
        Dataset.open(place_of("gs://records/a"))


def test_profiles(s3: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "ENDPOINT_URL"):
        monkeypatch.delenv(f"AWS_{name}")
    config, credentials = tmp_path / "config", tmp_path / "credentials"
    config.write_text(
        f"[profile work]\nregion = us-east-1\nendpoint_url = {s3.url}\n"
        "[profile lent]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = work\n"
    )
    credentials.write_text("[work]\naws_access_key_id = key\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_PROFILE", "work")
    dataset = Dataset.create(place_of(f"{s3}/x"))
    assert dataset.append(WINDOWS_[:2]) == 2
    monkeypatch.setenv("AWS_PROFILE", "lent")
    with pytest.raises(StoreError, match=r"profile lent (has its keys by role_arn|gives no keys).* export-credentials"):
        place_of(f"{s3}/x")


def test_in_public(gcs: Store) -> None:
    Dataset.create(place_of(f"{gcs}/x")).append(WINDOWS_[:2])
    found = Dataset.open(place_of(f"gs://anonymous@{gcs.bucket}/x"))
    assert read(found) == read(Dataset.open(place_of(f"{gcs}/x")))


def test_buckets_that_are_not_there(store: Store) -> None:
    other = f"{store.scheme}://no-such-bucket"
    for work in (Dataset.open, Dataset.create):
        with pytest.raises(StoreError, match=f"{other}/x: no such bucket"):
            work(place_of(f"{other}/x"))


def test_without_the_extra(tmp_path: Path) -> None:
    code = "import sys; sys.modules['obstore'] = None; from netpol.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "flows", "s3://records/a"], capture_output=True, text=True, check=False, cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "netpol: s3://records/a: reading and writing buckets needs obstore. "
        "Install it with `pip install 'netpol-learn[cloud]'`\n"
    )


class Silent(BaseHTTPRequestHandler):
    """Takes what is asked, and never answers."""

    asked: ClassVar[threading.Event]

    def do_GET(self) -> None:
        self.asked.set()
        self.rfile.read()

    def log_message(self, *_words: object) -> None:
        pass


def test_whoever_ends_it_leaves_nothing(s3: Store, tmp_path: Path) -> None:
    Dataset.create(place_of(f"{s3}/x")).append(WINDOWS_)
    words = [sys.executable, "-m", "netpol", "flows", f"{s3}/x"]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    assert subprocess.run(words, env=environment, capture_output=True, check=True).stdout
    assert [*tmp_path.iterdir()] == []
    asked = threading.Event()
    with serving(type("Handler", (Silent,), {"asked": asked})) as url:
        process = subprocess.Popen(words, env={**environment, "AWS_ENDPOINT_URL": url}, stderr=subprocess.PIPE)
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: process.poll() is not None, "it ends")
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
        process.stderr.close()
    assert process.returncode == 130
    assert [*tmp_path.iterdir()] == []
