"""How long nobody leads: replicas as processes over HTTPS, with the lease that programs have.

    PYTHONPATH=src:. python -m benchmarks.handover

The leader is stopped (SIGTERM), or killed (SIGKILL), and the time is taken until the standby says
that it leads. A killed leader's lease runs out fourteen seconds after its last renewal.
"""

import argparse
import asyncio
import signal
import tempfile
from pathlib import Path

from tests.framework.test_handover import handover


async def measured(ending):
    with tempfile.TemporaryDirectory() as folder:
        _, _, taken = await handover(Path(folder), ending, "production")
    return taken


async def main(rounds):
    for ending in (signal.SIGTERM, signal.SIGKILL):
        taken = sorted([await measured(ending) for _ in range(rounds)])
        print(f"{ending.name}: median {taken[rounds // 2]:.2f} s, longest {taken[-1]:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(main(parser.parse_args().rounds))
