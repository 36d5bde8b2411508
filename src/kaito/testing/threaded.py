"""An embedded API server on a thread of its own: for tests and clients that have no event loop."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar, final

from kaito.testing.api import EmbeddedApi, HttpsApi, embedded_api
from kaito.testing.loop import cut_connections

T = TypeVar("T")

_PATIENCE: Final = 60.0
"""Seconds that one call from the test may take."""


@final
class ServedApi:
    """A server over HTTPS, seen from another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, api: EmbeddedApi, door: HttpsApi) -> None:
        self._loop = loop
        self._api = api
        self.url = door.url
        self.kubeconfig = door.kubeconfig

    def run(self, make: Callable[[EmbeddedApi], Coroutine[Any, Any, T]]) -> T:
        """Await something on the server's loop: `served.run(lambda api: api.wait(PODS, key))`."""
        coroutine = make(self._api)
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_PATIENCE)

    def call(self, function: Callable[[EmbeddedApi], T]) -> T:
        """Call something on the server's loop: `served.call(lambda api: api.faults.clear())`."""

        async def called(api: EmbeddedApi) -> T:
            return function(api)

        return self.run(called)


@contextmanager
def served_api(folder: Path, *, seed: int = 1) -> Iterator[ServedApi]:
    """`with served_api(tmp_path) as served:`; `served.kubeconfig` is for any client."""
    ready: list[ServedApi | BaseException] = []
    told = threading.Event()
    leaving: list[Callable[[], object]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        left = asyncio.Event()
        async with embedded_api(seed=seed) as api, api.https(folder) as door:
            ready.append(ServedApi(loop, api, door))
            leaving.append(lambda: loop.call_soon_threadsafe(left.set))
            told.set()
            await left.wait()
        await cut_connections()

    def body() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            ready.append(error)
            told.set()

    thread = threading.Thread(target=body, name="embedded API server")
    thread.start()
    try:
        told.wait()
        first = ready[0]
        if isinstance(first, BaseException):
            raise first
        yield first
    finally:
        for end in leaving:
            end()
        thread.join()
    if isinstance(ready[-1], BaseException):
        raise ready[-1]
