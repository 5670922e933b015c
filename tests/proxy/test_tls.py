"""Providers over TLS: a certificate has to be theirs, and somebody has to vouch for it."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.proxy import running_proxy
from tests.support.upstream import CHAT_ANSWER, Upstream, answer_json

REFUSED = "the provider's TLS certificate or handshake was refused"


def certificate(folder: Path, *names: str, days: tuple[int, int] = (-1, 1)) -> tuple[Path, Path]:
    """Make a certificate that vouches for itself; return it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.UTC)
    alternatives: list[x509.GeneralName] = [x509.DNSName(one) for one in names if one[0] > "9"]
    alternatives += [x509.IPAddress(ipaddress.ip_address(one)) for one in names if not one[0] > "9"]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, private


def tls(pem: Path, private: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    return context


@pytest.mark.parametrize(
    ("names", "days", "is_vouched_for", "passes"),
    [
        (("localhost", "127.0.0.1"), (-1, 1), True, True),
        (("localhost", "127.0.0.1"), (-1, 1), False, False),
        (("elsewhere.example", "127.0.0.2"), (-1, 1), True, False),
        (("localhost", "127.0.0.1"), (-2, -1), True, False),
    ],
    ids=["vouched for", "self-signed", "of another host", "expired"],
)
def test_a_provider_is_who_its_certificate_says(
    tmp_path: Path,
    names: tuple[str, ...],
    days: tuple[int, int],
    is_vouched_for: bool,
    passes: bool,
) -> None:
    """`SSL_CERT_FILE` names who vouches; nothing is sent to a provider that is refused."""
    pem, private = certificate(tmp_path, *names, days=days)
    environment = {"SSL_CERT_FILE": str(pem)} if is_vouched_for else {}
    with (
        Upstream(answer_json, tls=tls(pem, private)) as upstream,
        running_proxy(
            tmp_path / "data",
            openai_base_url=f"https://localhost:{upstream.port}",
            environment=environment,
        ) as proxy,
    ):
        answer = proxy.post()
        (row,) = proxy.rows()

    if passes:
        assert (answer.status_code, answer.content) == (200, CHAT_ANSWER)
        assert row["outcome"] == "completed"
        assert len(upstream.received) == 1
    else:
        assert answer.status_code == 502
        assert answer.json()["error"] == {"type": "upstream_error", "message": REFUSED}
        assert (row["outcome"], row["error_message"]) == ("upstream_error", REFUSED)
        assert upstream.received == []


def test_a_provider_without_tls_at_an_https_address_is_refused(tmp_path: Path) -> None:
    """It is not called without TLS instead, and not waited for without end."""
    with (
        Upstream(answer_json) as upstream,
        running_proxy(
            tmp_path / "data",
            openai_base_url=upstream.url.replace("http:", "https:"),
            connect_timeout_s="1",
        ) as proxy,
    ):
        answer = proxy.post()

    assert answer.status_code == 504
    assert upstream.received == []
