"""Many looks at single machines become one look at all of them.

Clouds meter requests: AKS answers a burst of sixty reads and then one a second. A hundred machines
that are being made, each looked at every few seconds, are more than that. So when looks come thick,
they are answered from one list, a few seconds old at most; absence is never believed from there.
"""

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from kaito.kube.clock import Clock
from kaito.provisioner.cloud import Cloud, Instance, MachineRequest


@dataclass(frozen=True, slots=True)
class _Snapshot:
    asked: float
    machines: Mapping[str, Instance]


@final
class GatheringCloud:
    """A `Cloud` that asks another one, seldom."""

    def __init__(self, cloud: Cloud, *, clock: Clock, fresh: float = 5.0, few: int = 3) -> None:
        """`fresh`: how old, in seconds, an answer may be. In that time, `few` looks are single."""
        self._cloud = cloud
        self._clock = clock
        self._fresh = fresh
        self._few = few
        self._looks: deque[float] = deque(maxlen=few)
        self._changed: dict[str, float] = {}
        self._snapshot = _Snapshot(-math.inf, {})
        self._listing = asyncio.Lock()

    @property
    def node_label(self) -> str:
        return self._cloud.node_label

    async def launch(self, request: MachineRequest) -> Instance:
        try:
            return await self._cloud.launch(request)
        finally:
            self._note_change(request.name)

    async def terminate(self, instance: Instance) -> Instance | None:
        try:
            return await self._cloud.terminate(instance)
        finally:
            self._note_change(instance.name)

    async def get(self, name: str) -> Instance | None:
        now = self._clock.monotonic()
        thick = len(self._looks) == self._few and now - self._looks[0] < self._fresh
        self._looks.append(now)
        found = (await self._gathered(name)).get(name) if thick else None
        return found or await self._cloud.get(name)

    async def list(self) -> list[Instance]:
        return await self._cloud.list()

    async def _gathered(self, name: str) -> Mapping[str, Instance]:
        """All machines, as they were after the last change of this one that we made."""
        async with self._listing:
            now = self._clock.monotonic()
            oldest = max(now - self._fresh, self._changed.get(name, -math.inf))
            if self._snapshot.asked <= oldest:
                machines = {machine.name: machine for machine in await self._cloud.list()}
                self._snapshot = _Snapshot(now, machines)
            return self._snapshot.machines

    def _note_change(self, name: str) -> None:
        now = self._clock.monotonic()
        self._changed = {n: at for n, at in self._changed.items() if now - at < self._fresh}
        self._changed[name] = now
