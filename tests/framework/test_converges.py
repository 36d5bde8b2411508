"""Whatever happens to the world and to the network, caches become equal to the server again."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaito.apiserver.server import ApiServerOptions
from kaito.apiserver.storage import Window
from kaito.framework.cache import Cache
from kaito.framework.events import Added, Deleted, Event, Updated
from kaito.kube.errors import Invalid, NotFound, ServerError, TransportError
from kaito.kube.objects import ObjectKey, Record
from kaito.kube.resources import CONFIGMAPS
from kaito.kube.transport import Request
from kaito.testing.loop import VirtualTimeLoop
from tests.framework import lab as labs
from tests.framework.lab import Lab, key, laboratory

NAMES = st.sampled_from(["a", "b", "c", "d"])

STEPS = st.one_of(
    st.tuples(st.just("put"), NAMES, st.sampled_from(["red", "blue"])),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("replace"), NAMES),
    st.tuples(st.just("put"), NAMES, st.sampled_from(["red", "blue"])),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("cut")),
    st.tuples(st.just("outage"), st.integers(1, 6)),
    st.tuples(st.just("fail"), st.integers(1, 6), st.sampled_from([500, 503])),
    st.tuples(st.just("no streamed lists"), st.booleans()),
    st.tuples(st.just("lag"), st.sampled_from([0.0, 0.3, 5.0])),
    st.tuples(st.just("wait"), st.sampled_from([0.01, 1.0, 8.0, 90.0])),
    st.tuples(st.just("join")),
    st.tuples(st.just("restart")),
)


class Replica:
    """A handler that believes what it is told, and checks that it could be true."""

    def __init__(self) -> None:
        self.known: dict[ObjectKey, Record] = {}

    def __call__(self, event: Event) -> None:
        key = event.record.key
        match event:
            case Added():
                assert key not in self.known
                self.known[key] = event.record
            case Updated():
                assert self.known[key] is event.old
                assert event.old.meta.uid == event.new.meta.uid
                assert event.old.meta.resource_version != event.new.meta.resource_version
                self.known[key] = event.new
            case Deleted():
                assert self.known.pop(key).meta.uid == event.record.meta.uid


@dataclass
class Trouble:
    """What the network does to the next requests."""

    refuse: int = 0
    fail: int = 0
    code: int = 500
    streamed: bool = True

    def __call__(self, request: Request) -> None:
        if self.refuse:
            self.refuse -= 1
            raise TransportError("connection refused", sent=False)
        if self.fail:
            self.fail -= 1
            raise ServerError("the server is unwell", code=self.code, reason="InternalError")
        if request.param("sendInitialEvents") and not self.streamed:
            raise Invalid("sendInitialEvents is forbidden", code=422, reason="Invalid")


async def act(lab: Lab, trouble: Trouble, replicas: list[Replica], step: tuple) -> None:
    match step:
        case ("put", name, colour):
            await put(lab, name, colour)
        case ("delete" | "replace" as how, name):
            await remove(lab, name, again=how == "replace")
        case ("cut",):
            lab.network.cut_watches()
        case ("outage", count):
            trouble.refuse = count
            lab.network.cut_watches()
            await asyncio.sleep(0.01)
        case ("lag", seconds):
            lab.network.lag = seconds
        case ("wait", seconds):
            await asyncio.sleep(seconds)
        case ("join",):
            replicas.append(Replica())
            next(lab.cache.informers()).subscribe(replicas[-1])
        case ("restart",):
            await lab.cache.stop(CONFIGMAPS)
            lab.cache.start(CONFIGMAPS)
        case _:
            disturb(trouble, step)


async def put(lab: Lab, name: str, colour: str) -> None:
    obj = labs.settings(name, colour=colour)
    obj["metadata"]["labels"] = {"colour": colour}
    try:
        patch = {"data": obj["data"], "metadata": {"labels": {"colour": colour}}}
        await lab.direct.merge_patch(CONFIGMAPS, key(name), patch)
    except NotFound:
        await lab.direct.create(CONFIGMAPS, obj)


async def remove(lab: Lab, name: str, *, again: bool) -> None:
    try:
        await lab.direct.delete(CONFIGMAPS, key(name))
    except NotFound:
        return
    if again:
        await lab.direct.create(CONFIGMAPS, labs.settings(name))


def disturb(trouble: Trouble, step: tuple) -> None:
    match step:
        case ("fail", count, code):
            trouble.fail, trouble.code = count, code
        case ("no streamed lists", refused):
            trouble.streamed = not refused


def quiet(lab: Lab, replicas: list[Replica], wanted: dict[ObjectKey, str]) -> None:
    informer = next(lab.cache.informers())
    shown = {record.key: record.meta.resource_version for record in informer.store.list()}
    assert shown == wanted
    assert informer.counts["handler_failed"] == 0
    for replica in replicas:
        assert replica.known == {record.key: record for record in informer.store.list()}
    by_colour = {
        record.key
        for colour in ("red", "blue")
        for record in informer.store.by_index("colour", colour)
    }
    assert by_colour == {r.key for r in informer.store.list() if "colour" in r.meta.labels}


def run(steps: list[tuple], declare: Callable[[Cache], object], selector: str) -> None:
    async def scenario() -> None:
        window = ApiServerOptions(window=Window(changes=2, seconds=75.0))
        async with laboratory(declare=declare, options=window) as lab:
            trouble = Trouble()
            lab.network.before = trouble
            replicas = [Replica()]
            next(lab.cache.informers()).subscribe(replicas[0])
            for step in steps:
                await act(lab, trouble, replicas, step)
            lab.network.lag, trouble.refuse, trouble.fail = 0.0, 0, 0
            await asyncio.sleep(200.0)
            page = await lab.direct.list(CONFIGMAPS, namespace="default", label_selector=selector)
            quiet(lab, replicas, {r.key: r.meta.resource_version for r in page.items})

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


def colours(record: Record) -> list[str]:
    return [record.meta.labels["colour"]] if "colour" in record.meta.labels else []


CONFIGURED = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)


@CONFIGURED
@given(st.lists(STEPS, min_size=12, max_size=40))
def test_s36_a_store_equals_the_server_at_every_quiet_point(steps: list[tuple]) -> None:
    """A random history of changes and faults (broken, refused and late connections, errors,
    expired versions, servers without streamed lists, restarts of the informer, late handlers):
    once it is quiet, store, indexes, and every handler's picture equal the server; and at no
    moment was a handler told anything impossible."""
    run(
        steps,
        lambda c: c.informer(CONFIGMAPS, indexes={"colour": colours}, namespaces=("default",)),
        "",
    )


@CONFIGURED
@given(st.lists(STEPS, min_size=12, max_size=40))
def test_s36_with_a_selector_that_objects_enter_and_leave(steps: list[tuple]) -> None:
    """The same where changes move objects into and out of what is watched."""
    run(
        steps,
        lambda c: c.informer(
            CONFIGMAPS,
            indexes={"colour": colours},
            namespaces=("default",),
            label_selector="colour=red",
        ),
        "colour=red",
    )
