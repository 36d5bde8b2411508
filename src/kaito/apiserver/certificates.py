"""The server's own certificate authority: made in memory, gone with the process."""

import ssl
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, final

from kaito.kube.certificates import KeyPair, make_authority, sign_client, sign_server
from kaito.kube.clock import Clock
from kaito.kube.servertls import load, server_context

_VALID: Final = timedelta(days=365)


@final
class Authority:
    """Signs the server's certificate and those of clients."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pair = make_authority("kaito-embedded-ca", clock.wall(), _VALID)

    @property
    def pem(self) -> bytes:
        """The authority's certificate: what clients trust."""
        return self._pair.certificate

    def server(self, hosts: Sequence[str]) -> KeyPair:
        """For a server that is reached under these names and addresses."""
        return sign_server(self._pair, hosts, self._clock.wall(), _VALID)

    def client(self, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """For a user: the name is the common name, each group an organization."""
        return sign_client(self._pair, user, groups, self._clock.wall(), _VALID)

    def context(self, hosts: Sequence[str]) -> ssl.SSLContext:
        """TLS for such a server, which takes, but does not demand, our clients' certificates."""
        context = server_context(self.pem)
        pair = self.server(hosts)
        load(context, pair.certificate, pair.key)
        return context
