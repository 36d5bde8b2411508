"""An event loop on a thread of its own: the world goes on while a test waits for kubectl."""

import asyncio
import threading

from kaito.testing.loop import cut_connections

_STOP_SECONDS = 120


class LoopThread:
    """Runs between `__enter__` and `__exit__`."""

    def __init__(self):
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="world", daemon=True)

    def __enter__(self):
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOP_SECONDS)

    def _run(self):
        asyncio.run(self._main())

    async def _main(self):
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._ready.set()
        await self._stop.wait()
        await cut_connections()

    def start(self, coroutine):
        """Run it beside the others; a concurrent future."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def call(self, coroutine, seconds=_STOP_SECONDS):
        """Run it and wait for its result."""
        return self.start(coroutine).result(seconds)

    def tell(self, function, *arguments):
        """Call a plain function on the loop's thread and wait for its result."""

        async def told():
            return function(*arguments)

        return self.call(told())
