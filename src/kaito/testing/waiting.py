"""Assertions that wait, on a watch and with a deadline, instead of asking again and again."""

import asyncio
from collections.abc import Callable
from typing import Final, final

from kaito.kube.client import Client
from kaito.kube.errors import Gone, TransportError
from kaito.kube.objects import ObjectKey, Record, Resource

Holds = Callable[[Record], object]
"""Whether an object is as it should be; an exception means no."""

_WATCH_SECONDS: Final = 3600
_EVER: Final = 10.0**9


@final
class Waiting:
    """What a test expects to come. Seconds are the event loop's, virtual where that is."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def until(
        self, resource: Resource, holds: Callable[[dict[ObjectKey, Record]], object],
        *, namespace: str = "", seconds: float = 30.0, what: str = "",
    ) -> dict[ObjectKey, Record]:  # fmt: skip
        """Wait until the objects of a kind, all together, are as they should be; those objects.

        Raises AssertionError, which tells what was there, when `seconds` have passed.
        """
        seen: dict[ObjectKey, Record] = {}
        try:
            async with asyncio.timeout(seconds):
                while not await self._follow(resource, namespace, holds, seen):
                    """The watch ended: begin again."""
        except TimeoutError:
            what = what or f"{resource.plural} did not become what was expected"
            raise AssertionError(f"{what} within {seconds:g} s; {_told(resource, seen)}") from None
        return seen

    async def wait(
        self, resource: Resource, key: ObjectKey, holds: Holds = bool, *, seconds: float = 30.0
    ) -> Record:
        """Wait until one object exists and is as it should be."""
        found = await self.until(
            resource,
            lambda objects: key in objects and _holds(holds, objects[key]),
            namespace=key.namespace,
            seconds=seconds,
            what=f"{resource.kind} {key} did not become what was expected",
        )
        return found[key]

    async def gone(self, resource: Resource, key: ObjectKey, *, seconds: float = 30.0) -> None:
        """Wait until there is no such object."""
        await self.until(
            resource,
            lambda objects: key not in objects,
            namespace=key.namespace,
            seconds=seconds,
            what=f"{resource.kind} {key} did not go",
        )

    async def _follow(
        self,
        resource: Resource,
        namespace: str,
        holds: Callable[[dict[ObjectKey, Record]], object],
        seen: dict[ObjectKey, Record],
    ) -> bool:
        listed = await self._client.list(resource, namespace=namespace)
        seen.clear()
        seen.update({record.key: record for record in listed.items})
        if holds(seen):
            return True
        try:
            async with self._client.watch(
                resource,
                namespace=namespace,
                resource_version=listed.resource_version,
                timeout_seconds=_WATCH_SECONDS,
                idle_timeout=_EVER,
            ) as events:
                async for event in events:
                    if event.record is None or event.type == "BOOKMARK":
                        continue
                    if event.type == "DELETED":
                        seen.pop(event.record.key, None)
                    else:
                        seen[event.record.key] = event.record
                    if holds(seen):
                        return True
        except (TransportError, Gone):
            return False
        return False


def _holds(holds: Holds, record: Record) -> bool:
    try:
        return bool(holds(record))
    except (AssertionError, AttributeError, LookupError, TypeError):
        return False


def _told(resource: Resource, seen: dict[ObjectKey, Record]) -> str:
    if not seen:
        return f"there are no {resource.plural}"
    lines = [
        f"{record.key}{' (deleting)' if record.meta.deleting else ''} status {record.get('status')}"
        for record in seen.values()
    ]
    return "there were: " + "; ".join(lines)
