"""The operator as a process of its own: `kaito run`, as anywhere, so that it can be killed."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Final, final

from kaito.app.embedded import Embedded
from kaito.cli import kubeconfig
from kaito.settings import environment

_STOP: Final = 2.0
"""Seconds for a clean stop before it is ended the hard way."""

_PATIENCE: Final = 3.0
"""The operator gives the cloud this much more time than its speed calls for: where the machine is
busy, seconds of ours that nobody could use must not look like hours of a node that does not join.
"""


@final
class OperatorProcess:
    """Not running until `start`; `stop` or `kill` end it, and it may be started again."""

    def __init__(self, cluster: Embedded, folder: Path) -> None:
        self.log = folder / "operator.log"
        self._folder = folder
        self._cluster = cluster
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Start it; it needs a moment to begin working."""
        azure = self._cluster.azure(self._folder)
        access = kubeconfig.Access(
            server=self._cluster.door.url,
            ca_pem=self._cluster.door.ca_pem,
            token=self._cluster.token,
        )
        config = self._folder / "operator.kubeconfig"
        kubeconfig.write(config, kubeconfig.text(access))
        arguments = (
            f"--kubeconfig={config}",
            "--cloud=azure",
            f"--azure-endpoint={azure.endpoint}",
            f"--azure-ca-file={azure.ca_file}",
            f"--azure-token-file={azure.token_file}",
            f"--cloud-speed={self._cluster.options.world_speed / _PATIENCE:g}",
            # One process, never two: a killed one's lease would only have to be waited out.
            "--no-leader-elect",
            # Where even the demo is killed, this end of the pipe closes.
            "--while-stdin-is-open",
            "--metrics-bind-address=0",
            "--health-probe-bind-address=0",
        )
        names = {
            "ARM_SUBSCRIPTION_ID": azure.subscription,
            "ARM_RESOURCE_GROUP": azure.resource_group,
            "AZURE_CLUSTER_NAME": azure.cluster,
            # What a killed process had no chance to remove goes with the folder.
            "TMPDIR": str(self._folder),
        }
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "kaito.cli",
                "run",
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**environment(), **names},
                # Ctrl-C in the terminal is for the demo alone, which then ends this one itself.
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL, at once: it gets no chance to tidy up."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def ended(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        return await self._process.wait() if self._process is not None else 0

    async def stop(self) -> None:
        """End it, cleanly if it can."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        try:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(_STOP):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        except BaseException:
            process.kill()
            raise
