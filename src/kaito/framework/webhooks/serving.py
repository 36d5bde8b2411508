"""What a manager needs to know of a webhook server: nothing of HTTP."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Webhooks(Protocol):
    """A server that is up while its context is open."""

    def serving(self) -> AbstractAsyncContextManager[object]: ...

    def unready(self) -> str | None:
        """Why no API server can reach it at the moment."""
        ...
