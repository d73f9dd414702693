"""TLS by configuration, and no plain HTTP beyond this machine by accident."""

from __future__ import annotations

import http.client
import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ingestion.server import serve
from ingestion.transport import check_transport
from lakehouse.settings import SettingError, load_settings
from tests.ingestion.rig import SALT, line, make_settings, start_thread


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ingest.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "tls.crt", folder / "tls.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    files[1].chmod(0o600)
    return files


def test_records_are_taken_over_tls_only(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    settings = make_settings(tmp_path / "home", ingest_tls_cert=certificate, ingest_tls_key=key)
    with start_thread(settings) as running:
        assert running.address.url == f"https://127.0.0.1:{running.address.port}"
        context = ssl.create_default_context(cafile=str(certificate))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context.minimum_version = context.maximum_version = version
            link = http.client.HTTPSConnection("127.0.0.1", running.address.port, timeout=20, context=context)
            headers = {"authorization": f"Bearer {running.keys['game']}", "content-type": "application/json"}
            link.request("POST", "/v1/events", line(), headers)
            assert link.getresponse().status == 200
            link.close()
        with pytest.raises((OSError, http.client.HTTPException)):
            running.post(line())
        with pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(
                socket.create_connection(("127.0.0.1", running.address.port)), server_hostname="127.0.0.1"
            )


def test_binding_beyond_loopback_needs_tls_or_a_word(tmp_path: Path) -> None:
    everywhere = "0.0.0.0"  # noqa: S104 - what is refused
    for host in (everywhere, "::", "192.0.2.1", "ingest.example"):
        with pytest.raises(SettingError, match="unencrypted"):
            check_transport(make_settings(tmp_path, ingest_host=host))
    assert not check_transport(make_settings(tmp_path, ingest_host=everywhere, ingest_plain_http=True))
    for host in ("127.0.0.1", "::1", "localhost"):
        assert not check_transport(make_settings(tmp_path, ingest_host=host))
    with pytest.raises(SettingError, match="unencrypted"):
        serve(make_settings(tmp_path, ingest_host=everywhere))
    bare = load_settings({"UNMOGROWP_HOME": str(tmp_path), "UNMOGROWP_SALT": SALT})
    assert bare.ingest_host == "127.0.0.1"


def test_an_unusable_certificate_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    other, _ = make_certificate(tmp_path / "other")
    good = {"ingest_tls_cert": certificate, "ingest_tls_key": key}
    assert check_transport(make_settings(tmp_path, **good))
    for changes, sentence in (
        ({"ingest_tls_key": tmp_path / "none"}, "UNMOGROWP_INGEST_TLS_KEY is wrong: there is no file"),
        ({"ingest_tls_cert": other}, "do not work together"),
        ({"ingest_tls_cert": key}, "do not work together"),
    ):
        with pytest.raises(SettingError, match=sentence):
            check_transport(make_settings(tmp_path, **(good | changes)))
    with pytest.raises(SettingError, match="belong together"):
        check_transport(make_settings(tmp_path, ingest_tls_cert=certificate))
    key.chmod(0o644)
    with pytest.raises(SettingError, match="can be read by everybody"):
        check_transport(make_settings(tmp_path, **good))
