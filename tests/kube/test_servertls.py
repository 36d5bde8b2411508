"""Certificates and keys of servers, from bytes into TLS contexts."""

import os
import ssl
import stat
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kaito.kube.certificates import make_authority, sign_server
from kaito.kube.servertls import load, server_context


def server_pair():
    now, life = datetime.now(UTC), timedelta(days=1)
    return sign_server(make_authority("test-ca", now, life), ["localhost"], now, life)


class Looking(ssl.SSLContext):
    """Notes where the pair is while it is read, and who may read it."""

    def load_cert_chain(self, certfile, keyfile=None, password=None):
        self.place = Path(certfile)
        self.modes = [stat.S_IMODE(p.stat().st_mode) for p in (self.place, self.place.parent)]
        super().load_cert_chain(certfile, keyfile, password)


def test_without_files_in_memory_the_key_is_its_owners_alone_and_gone_at_once(
    tmp_path, monkeypatch
):
    """macOS has no memfd: a file that nobody else can read, in a folder that nobody else can
    enter, and neither is left behind, whether the pair can be used or not."""
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = server_pair()
    context = Looking(ssl.PROTOCOL_TLS_SERVER)
    load(context, found.certificate, found.key)
    assert context.place.is_relative_to(tmp_path)
    assert context.modes == [0o600, 0o700]
    with pytest.raises(ssl.SSLError):
        load(context, found.certificate, b"no key")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the system has no files in memory")
def test_with_files_in_memory_the_key_never_reaches_a_disk(tmp_path, monkeypatch):
    """Not even a temporary one: `TMPDIR` need not be there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    found = server_pair()
    context = Looking(ssl.PROTOCOL_TLS_SERVER)
    load(context, found.certificate, found.key)
    assert context.place.is_relative_to("/proc/self/fd")


def test_an_encrypted_key_is_an_error_and_no_question_to_a_terminal():
    """OpenSSL would ask for a password there, and the operator would hang."""
    private = ec.generate_private_key(ec.SECP256R1())
    locked = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.PKCS8
    key = private.private_bytes(serialization.Encoding.PEM, form, locked)
    certificate = server_pair().certificate
    with pytest.raises(ssl.SSLError):
        load(server_context(), certificate, key)
