"""A program that has been told to stop and takes for ever: `python -m tests.framework.stubborn`."""

import asyncio

from kaito.framework.program import stop_on_signals


async def main():
    stop = asyncio.Event()
    stop_on_signals(stop)
    print("running", flush=True)
    await stop.wait()
    print("stopping", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
