"""Whom a client trusts."""

import ssl


def client_context(*, cafile: str | None = None, cadata: str | None = None) -> ssl.SSLContext:
    """Trusts these authorities (PEM), or the system's where none is given.

    It is as strict as Go's clients are, and no stricter: since 3.13 Python would also refuse
    certificates without key identifiers, which many a cluster has. Raises OSError (of which
    ssl.SSLError is one) for authorities that cannot be used.
    """
    context = ssl.create_default_context(cafile=cafile, cadata=cadata)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
