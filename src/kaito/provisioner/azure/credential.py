"""Who we are to Azure: the pod's workload identity, or a token that somebody put into a file."""

import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, final

from azure.core.credentials import AccessToken

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

REREAD: Final = 60
"""Seconds for which a token from a file is used before the file is read again."""


def default_credential() -> "AsyncTokenCredential":
    """Environment, workload identity, managed identity, command-line login, in that order."""
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential()


@final
class FileCredential:
    """A bearer token from a file, read again every minute."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """Raises OSError when the file cannot be read."""
        token = self._path.read_text(encoding="utf-8").strip()
        return AccessToken(token, int(time.time()) + REREAD)  # noqa: TID251 - the SDK's own clock

    async def close(self) -> None:
        """Nothing is held."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Nothing is held."""
