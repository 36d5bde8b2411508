"""What a client accepts of a server."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kaito.kube.clienttls import client_context
from kaito.kube.servertls import load, server_context


def old_style():
    """An authority, and a server's pair of it, without any key identifier: many clusters' are."""
    now, hour = datetime.now(UTC), timedelta(hours=1)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("ca", "localhost")
    ]
    extensions = [
        x509.BasicConstraints(ca=True, path_length=None),
        x509.SubjectAlternativeName([x509.DNSName("localhost")]),
    ]
    authority, leaf = [
        x509.CertificateBuilder(
            subject_name=name,
            issuer_name=names[0],
            public_key=key.public_key(),
            serial_number=1,
            not_valid_before=now - hour,
            not_valid_after=now + hour,
        )
        .add_extension(extension, critical=True)
        .sign(keys[0], hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        for name, key, extension in zip(names, keys, extensions, strict=True)
    ]
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return authority.decode(), leaf, keys[1].private_bytes(serialization.Encoding.PEM, *form)


def shake_hands(client, server):
    """A handshake in memory. Raises ssl.SSLError."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in tuple(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not ends


def test_an_authority_without_key_identifiers_is_trusted():
    """As by kubectl: Python 3.13 would refuse it otherwise."""
    authority, certificate, key = old_style()
    server = server_context()
    load(server, certificate, key)
    shake_hands(client_context(cadata=authority), server)


def test_another_authority_is_refused():
    """Leniency ends where trust does."""
    _, certificate, key = old_style()
    server = server_context()
    load(server, certificate, key)
    another, _, _ = old_style()
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client_context(cadata=another), server)
