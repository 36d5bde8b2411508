"""`/debug`: what a process is doing at this moment, for whoever looks into it.

    /debug/tasks    every task: its name, and the line where it waits
    /debug/queues   per controller: what is ready, waiting, parked, and since when runs go on
    /debug/caches   per informer: objects, bytes, version, and why it cannot be followed
    /debug/memory   resident size, the collector's generations; `?types` counts objects by type

Off unless an address is given, and on an address of its own: it needs no permission. There are
names in it, but no content of any object.
"""

import asyncio
import gc
import resource
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from aiohttp import web

from kaito.framework.cache import Cache
from kaito.framework.controller import Controller
from kaito.framework.endpoints import parse_address, where
from kaito.kube.objects import Json

Report = Callable[[Mapping[str, str]], Any]
"""Takes the query; returns what is shown as JSON."""

_MOST_TYPES: Final = 40


def reports(cache: Cache, controllers: Callable[[], Iterable[Controller]]) -> dict[str, Report]:
    """What there is to see of one manager, by name."""
    return {
        "tasks": lambda _: tasks(),
        "queues": lambda _: queues(controllers()),
        "caches": lambda _: caches(cache),
        "memory": lambda query: memory(types="types" in query),
    }


def tasks() -> list[Json]:
    """By name. `at` is where the task itself waits, innermost last; no values are shown."""
    found = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    return [
        {
            "name": task.get_name(),
            "at": [
                f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
                for frame in task.get_stack(limit=8)
            ],
        }
        for task in found
    ]


def queues(controllers: Iterable[Controller]) -> list[Json]:
    """Numbers of keys, and seconds."""
    return [
        {
            "controller": controller.name,
            "ready": {str(priority): depth for priority, depth in queue.depths().items()},
            "waiting": queue.waiting,
            "parked": queue.parked,
            "longest_run_seconds": round(queue.longest(), 3),
            "unfinished_seconds": round(queue.unfinished(), 3),
        }
        for controller in controllers
        for queue in (controller.queue,)
    ]


def caches(cache: Cache) -> list[Json]:
    """One entry for each informer: two with other selectors are two."""
    return [
        {
            "kind": informer.resource.group_resource,
            "version": informer.resource.version,
            "namespaces": list(informer.options.namespaces),
            "label_selector": informer.options.label_selector,
            "field_selector": informer.options.field_selector,
            "synced": informer.store.synced,
            "problem": informer.problem,
            "objects": len(informer.store),
            "bytes": informer.store.size(),
            "resource_version": informer.store.resource_version,
            "backlog": informer.backlog,
            "counts": dict(informer.counts),
        }
        for informer in cache.informers()
    ]


def memory(*, types: bool = False) -> Json:
    """Of the whole process. Counting types walks over all tracked objects, and stops the loop."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found: Json = {
        "highest_resident_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "tracked": list(gc.get_count()),
        "frozen": gc.get_freeze_count(),
        "generations": gc.get_stats(),
    }
    if types:
        counted = Counter(type(obj).__qualname__ for obj in gc.get_objects())
        found["types"] = dict(counted.most_common(_MOST_TYPES))
    return found


@asynccontextmanager
async def debugging(address: str, shown: Mapping[str, Report]) -> AsyncIterator[str]:
    """Serve until left; yields where. Raises OSError when the address is in use."""
    app = web.Application()
    index = "".join(f"/debug/{name}\n" for name in shown)

    async def list_(_: web.Request) -> web.Response:
        return web.Response(text=index)

    async def show(request: web.Request) -> web.Response:
        report = shown.get(request.match_info["name"])
        if report is None:
            return web.Response(status=404, text=index)
        body = msgspec.json.format(msgspec.json.encode(report(request.query)), indent=2)
        return web.Response(body=body + b"\n", content_type="application/json")

    app.router.add_get("/debug", list_)
    app.router.add_get("/debug/{name}", show)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        host, port = parse_address(address)
        await web.TCPSite(runner, host, port).start()
        yield where(runner)
    finally:
        await runner.cleanup()
