"""When which certificate authority is made, trusted, used and dropped: one pure step.

A rotation never has a moment at which a server shows what its callers do not trust:

    1. a new authority is made and *published* beside the old one; the leaf stays as it is
    2. only when every configuration has trusted both for a while is a leaf of the new one served
    3. the old authority stays in the bundle until it ends by itself

Everything there is to know is in the Secret and in the configurations, so any replica that becomes
the leader goes on from there. Only how long the bundle has been trusted is counted anew, which
errs on the side of waiting.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, final

from cryptography import x509

from kaito.kube.certificates import (
    SKEW,
    KeyPair,
    certificates_in,
    fits,
    made_for,
    make_authority,
    pem_of,
    sign_server,
    signed_by,
    valid,
)

CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"
BUNDLE: Final = "ca.crt"
AUTHORITY_KEY: Final = "ca.key"
"""Of the newest authority in the bundle, which is the last one."""

Content = Mapping[str, bytes]
"""What the Secret holds."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RotationOptions:
    """Lifetimes. Whatever has less than a third of its life left is replaced."""

    hosts: tuple[str, ...]
    """The DNS names (or addresses) of the server: `NAME.NAMESPACE.svc` first."""
    authority_name: str = "webhook-ca"
    authority_life: timedelta = timedelta(days=365)
    leaf_life: timedelta = timedelta(days=90)
    settle: timedelta = timedelta(minutes=5)
    """How long every configuration must have had the bundle: API servers hear of it late."""
    longest_wait: timedelta = timedelta(hours=12)
    """Look again after so long at the latest."""

    def __post_init__(self) -> None:
        """Raises ValueError for lives so short that what is made is replaced before it is used."""
        for life, needed in ((self.authority_life, self.settle), (self.leaf_life, timedelta(0))):
            if life - (life + SKEW) / 3 <= needed:
                raise ValueError(f"a certificate of {life} would be replaced before it is used")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do now."""

    content: Content | None = field(default=None, repr=False)
    """What the Secret must hold; None: what it does."""
    bundle: bytes
    """What every configuration must trust."""
    again: timedelta
    """When to look again if nothing happens."""


def step(
    content: Content, now: datetime, trusted_since: datetime | None, options: RotationOptions
) -> Step:
    """`trusted_since`: from when on all configurations have trusted the bundle of `content`."""
    authorities = [ca for ca in certificates_in(content.get(BUNDLE, b"")) if valid(ca, now)]
    newest = authorities[-1] if authorities else None
    if newest is None or not fits(newest, content.get(AUTHORITY_KEY, b"")):
        return _started(now, authorities, options)
    leaf = _leaf(content, now, authorities)
    if _aged(newest, now):
        return _announced(content, now, authorities, options)
    current = KeyPair(pem_of(newest), content[AUTHORITY_KEY])
    settles = options.settle if trusted_since is None else trusted_since + options.settle - now
    switched = leaf is not None and signed_by(leaf, newest)
    if leaf is None or (_renewable(leaf, now, options) if switched else settles <= timedelta(0)):
        pair = sign_server(current, options.hosts, now, options.leaf_life)
        return _written(_content(authorities, current.key, pair), options)
    found = _content(authorities, current.key, KeyPair(content[CERTIFICATE], content[KEY]))
    waits = [options.longest_wait, _due(newest) - now]
    waits.append(_due(leaf) - now if switched else settles)
    waits += [ca.not_valid_after_utc - now for ca in authorities]
    return Step(
        content=found if found[BUNDLE] != content[BUNDLE] else None,
        bundle=found[BUNDLE],
        again=max(timedelta(seconds=1), min(waits)),
    )


def _started(now: datetime, authorities: list[x509.Certificate], options: RotationOptions) -> Step:
    """There is nothing to go on from, so nobody can be served until the bundle is out anyway."""
    fresh = make_authority(options.authority_name, now, options.authority_life)
    pair = sign_server(fresh, options.hosts, now, options.leaf_life)
    [certificate] = certificates_in(fresh.certificate)
    return _written(_content([*authorities, certificate], fresh.key, pair), options)


def _announced(
    content: Content, now: datetime, authorities: list[x509.Certificate], options: RotationOptions
) -> Step:
    """A new authority beside the others; the leaf is still of an old one."""
    fresh = make_authority(options.authority_name, now, options.authority_life)
    [certificate] = certificates_in(fresh.certificate)
    pair = KeyPair(content.get(CERTIFICATE, b""), content.get(KEY, b""))
    return _written(_content([*authorities, certificate], fresh.key, pair), options)


def _written(content: Content, options: RotationOptions) -> Step:
    return Step(content=content, bundle=content[BUNDLE], again=options.settle)


def _content(authorities: list[x509.Certificate], key: bytes, leaf: KeyPair) -> dict[str, bytes]:
    return {
        BUNDLE: b"".join(map(pem_of, authorities)),
        AUTHORITY_KEY: key,
        CERTIFICATE: leaf.certificate,
        KEY: leaf.key,
    }


def _leaf(
    content: Content, now: datetime, authorities: list[x509.Certificate]
) -> x509.Certificate | None:
    """The leaf in use, if it can be served: whole, valid, and trusted."""
    leaf = next(iter(certificates_in(content.get(CERTIFICATE, b""))), None)
    if leaf is None or not valid(leaf, now) or not fits(leaf, content.get(KEY, b"")):
        return None
    return leaf if any(signed_by(leaf, ca) for ca in authorities) else None


def _renewable(leaf: x509.Certificate, now: datetime, options: RotationOptions) -> bool:
    """A leaf of the newest authority may be replaced at any time: it changes nobody's trust."""
    return _aged(leaf, now) or not made_for(leaf, options.hosts)


def _aged(certificate: x509.Certificate, now: datetime) -> bool:
    return now >= _due(certificate)


def _due(certificate: x509.Certificate) -> datetime:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return end - (end - start) / 3


def trusts(bundle: bytes, wanted: bytes) -> bool:
    """Whether a configuration that has `bundle` trusts all of `wanted`."""
    known = {pem_of(ca) for ca in certificates_in(bundle)}
    needed = {pem_of(ca) for ca in certificates_in(wanted)}
    return bool(needed) and needed <= known
