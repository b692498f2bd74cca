"""A new certificate, judged by OpenSSL: it proves the hub to whoever has the authority, and nobody else."""

from __future__ import annotations

import base64
import shutil
import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.agent.manifests import deployed, one

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="files", scope="module")
def _files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the hub and the agents mount, and the authority of another run."""
    folder = tmp_path_factory.mktemp("certificate")
    manifests = deployed("--tls", "new", "-n", "watch")
    secret, trust = one(manifests, "Secret"), one(manifests, "ConfigMap")
    for name, text in secret["data"].items():
        (folder / name).write_bytes(base64.b64decode(text, validate=True))
    (folder / "ca.crt").write_text(trust["data"]["ca.crt"])
    (folder / "other.crt").write_text(one(deployed("--tls", "new"), "ConfigMap")["data"]["ca.crt"])
    return folder


def handshake(files: Path, name: str, authority: str) -> None:
    """Connects over a socket pair as an agent does, to a server as the hub is."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files / "tls.crt", files / "tls.key")
    client = ssl.create_default_context(cafile=str(files / authority))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    here, there = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(there, server_side=True) as wrapped:
                wrapped.recv(1)
        except OSError:  # the client did not like it
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with here, client.wrap_socket(here, server_hostname=name) as wrapped:
            wrapped.sendall(b"x")
    finally:
        thread.join(100)


@pytest.mark.parametrize("name", ["netpol-hub.watch.svc", "netpol-hub.watch.svc.cluster.local", "localhost"])
def test_agents_and_readers_know_the_hub(files: Path, name: str) -> None:
    handshake(files, name, "ca.crt")


@pytest.mark.parametrize(
    ("name", "authority"), [("netpol-hub.other.svc", "ca.crt"), ("netpol-hub.watch.svc", "other.crt")]
)
def test_others_do_not(files: Path, name: str, authority: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(files, name, authority)


def test_openssl_finds_nothing_against_it(files: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not on PATH")
    words = [
        openssl,
        "verify",
        "-x509_strict",
        "-purpose",
        "sslserver",
        "-CAfile",
        f"{files}/ca.crt",
        f"{files}/tls.crt",
    ]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    # It is no authority itself, and the authority's key is nowhere.
    words[words.index("-CAfile") + 1] = f"{files}/tls.crt"
    assert subprocess.run(words, capture_output=True, check=False).returncode != 0
    assert {path.name for path in files.iterdir()} == {"tls.crt", "tls.key", "ca.crt", "other.crt"}
