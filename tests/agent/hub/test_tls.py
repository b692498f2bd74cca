"""Certificates that are replaced while the hub runs."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from netpol.agent.hub.tls import Certificate
from netpol.errors import InputError
from tests.agent.hub import processes
from tests.agent.hub.windows import body
from tests.cluster.watching import wait_until


def certificate(folder: Path, name: str = "localhost", address: str = "127.0.0.9") -> tuple[Path, Path]:
    """A certificate for localhost and an address that signed itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address(address))]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(exist_ok=True)
    paths = folder / "tls.crt", folder / "tls.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def shown_name(hub: processes.Hub) -> str:
    """Who the hub says that it is."""
    port = int(hub.url.rpartition(":")[2])
    found = x509.load_pem_x509_certificate(ssl.get_server_certificate(("localhost", port)).encode())
    return str(found.subject.rfc4514_string())


def test_a_new_certificate_is_shown_without_a_restart(tmp_path: Path) -> None:
    chain, key = certificate(tmp_path / "tls")
    words = ["--listen", "localhost:0", "--tls-cert", str(chain), "--tls-key", str(key)]
    quick = {"netpol.agent.hub.serving._HANDSHAKE_SECONDS": 3, "netpol.agent.hub.serving._TICK_SECONDS": 1}
    with processes.hub(tmp_path / "data", *words, authority=chain, quick=quick) as hub:
        assert hub.url.startswith("https://")
        hub.url = f"https://localhost:{hub.url.rpartition(':')[2]}"
        port = int(hub.url.rpartition(":")[2])
        silent = socket.create_connection(("localhost", port), timeout=processes.PATIENCE_SECONDS)
        kept = hub.connect()
        assert processes.ask(kept, "GET", "/healthz").status == 200
        new_chain, new_key = certificate(tmp_path / "new", "rotated")
        chain.write_bytes(new_chain.read_bytes())
        # For a moment the certificate is new and the key old: that must not reach anybody.
        assert shown_name(hub) == "CN=localhost"
        new_key.replace(key)
        wait_until(lambda: shown_name(hub) == "CN=rotated", "rotated")
        assert hub.send(*body()).status == 200
        assert processes.ask(kept, "GET", "/healthz").status == 200
        kept.close()
        # Whoever never begins with TLS was let go of meanwhile.
        assert silent.recv(1) == b""
        silent.close()
        assert hub.stop() == 0


def test_old_protocols_are_refused(tmp_path: Path) -> None:
    context = Certificate(*certificate(tmp_path)).context
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_files_that_are_no_certificate(tmp_path: Path) -> None:
    chain, key = certificate(tmp_path / "one")
    _, other = certificate(tmp_path / "two")
    with pytest.raises(InputError, match="no certificate with its key"):
        Certificate(chain, other)
    with pytest.raises(InputError, match="no certificate with its key"):
        Certificate(key, key)
    with pytest.raises(InputError, match="cannot be read"):
        Certificate(chain, tmp_path / "absent")
