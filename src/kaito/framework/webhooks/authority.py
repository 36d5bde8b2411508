"""Keys and certificates as values: a certificate authority and the leaves that it signs."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SKEW: Final = timedelta(hours=1)
"""Certificates are valid from a little before now: clocks differ."""


@final
@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, as PEM."""

    certificate: bytes
    key: bytes


def make_authority(name: str, now: datetime, life: timedelta) -> Pair:
    """A self-signed certificate authority that may sign leaves alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key, key.public_key(), now, now + life)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    builder = builder.add_extension(_usage(), True)
    return _pair(builder.sign(key, hashes.SHA256()), key)


def make_leaf(authority: Pair, hosts: tuple[str, ...], now: datetime, life: timedelta) -> Pair:
    """For a server reached under these DNS names. It ends with its authority at the latest."""
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    signer = serialization.load_pem_private_key(authority.key, None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an elliptic curve key")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    end = min(now + life, issuer.not_valid_after_utc)
    builder = _builder(subject, issuer.subject, signer, key.public_key(), now, end)
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    builder = builder.add_extension(names, False).add_extension(usage, False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    return _pair(builder.sign(signer, hashes.SHA256()), key)


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


def hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names it is made for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.value.get_values_for_type(x509.DNSName))


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


def _usage() -> x509.KeyUsage:
    return x509.KeyUsage(
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


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    return Pair(
        pem_of(certificate),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
