"""Keys and certificates as values: a certificate authority, and the certificates that it signs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final, final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SKEW: Final = timedelta(hours=1)
"""Certificates are valid from a little before now: clocks differ."""

_COMMON_NAME_LENGTH: Final = 64
"""RFC 5280's upper bound for a common name."""


@final
@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, as PEM."""

    certificate: bytes
    key: bytes


def make_authority(name: str, now: datetime, life: timedelta) -> KeyPair:
    """A self-signed certificate authority that may sign leaves but no further authorities."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key, key.public_key(), now, now + life)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    builder = builder.add_extension(_AUTHORITY_USAGE, True)
    return _pair(builder.sign(key, hashes.SHA256()), key)


def sign_server(
    authority: KeyPair, hosts: Sequence[str], now: datetime, life: timedelta
) -> KeyPair:
    """For a server reached under these DNS names and addresses; the first is its common name.

    It ends with its authority at the latest.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:_COMMON_NAME_LENGTH])])
    return _leaf(authority, subject, ExtendedKeyUsageOID.SERVER_AUTH, hosts, now, life)


def sign_client(
    authority: KeyPair, user: str, groups: Sequence[str], now: datetime, life: timedelta
) -> KeyPair:
    """For a user, as an API server reads it: the common name, and each group an organization.

    It ends with its authority at the latest.
    """
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
    subject = x509.Name(attributes)
    return _leaf(authority, subject, ExtendedKeyUsageOID.CLIENT_AUTH, (), now, life)


def certificates_in(pem: bytes) -> list[x509.Certificate]:
    """All of a bundle; none when any of it cannot be read."""
    try:
        return x509.load_pem_x509_certificates(pem) if pem.strip() else []
    except ValueError:
        return []


def pem_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def fits(certificate: x509.Certificate, key: bytes) -> bool:
    """Whether `key` (PEM) is the private key of `certificate`."""
    try:
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError):
        return False
    return private.public_key() == certificate.public_key()


def signed_by(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc


def made_for(certificate: x509.Certificate, hosts: Sequence[str]) -> bool:
    """Whether it is for exactly these DNS names and addresses, in this order."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return not hosts
    return list(names.value) == list(map(_general_name, hosts))


def _leaf(
    authority: KeyPair,
    subject: x509.Name,
    usage: x509.ObjectIdentifier,
    hosts: Sequence[str],
    now: datetime,
    life: timedelta,
) -> KeyPair:
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    signer = serialization.load_pem_private_key(authority.key, None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an elliptic curve key")
    key = ec.generate_private_key(ec.SECP256R1())
    end = min(now + life, issuer.not_valid_after_utc)
    builder = _builder(subject, issuer.subject, signer, key.public_key(), now, end)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    if hosts:
        names = x509.SubjectAlternativeName(map(_general_name, hosts))
        builder = builder.add_extension(names, False)
    return _pair(builder.sign(signer, hashes.SHA256()), key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    public: ec.EllipticCurvePublicKey,
    now: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    # Two authorities may bear one name; this is how a verifier finds the right one.
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(identifier, False)
    )


_AUTHORITY_USAGE: Final = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    return KeyPair(
        pem_of(certificate),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
