"""The framework's webhook server, called by an API server: the embedded one and a real one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer
from kaito.apiserver.webhookhttps import HttpsCaller
from kaito.framework.manager import Manager, ManagerOptions
from kaito.framework.webhooks.admission import AdmissionRequest, Allowed, Change, Denied, Mutated
from kaito.framework.webhooks.conversion import Conversions, HubAndSpokes, Spoke
from kaito.framework.webhooks.measures import WebhookMetrics
from kaito.framework.webhooks.rotation import BUNDLE, RotationOptions
from kaito.framework.webhooks.secret import (
    Configurations,
    SecretCertificates,
    certificate_controller,
    content_of,
)
from kaito.framework.webhooks.server import WebhookOptions, WebhookServer
from kaito.kube.client import Client
from kaito.kube.clock import SystemClock
from kaito.kube.errors import ApiError
from kaito.kube.objects import Json, ObjectKey, Resource
from kaito.kube.resources import (
    CRDS,
    MUTATINGWEBHOOKCONFIGURATIONS,
    SECRETS,
    VALIDATINGWEBHOOKCONFIGURATIONS,
)
from kaito.kube.transport import Transport
from tests.contract.apiserver.real import users
from tests.controlplane.controlplane import ControlPlane

GROUP = "tea.example.com"
V1, V2 = (Resource(GROUP, version, "kettles", "Kettle") for version in ("v1", "v2"))
CONFIGURATION, DEFINITION = "kettles.tea.example.com", "kettles.tea.example.com"
SECRET = ObjectKey("default", "kettle-certificates")
NAMES = Configurations(
    validating=(CONFIGURATION,), mutating=(CONFIGURATION,), definitions=(DEFINITION,)
)
ROTATIONS = 1
CLOCK = SystemClock()


def cups(obj: Json) -> Json:
    obj["spec"]["cups"] = obj["spec"].pop("litres") * 4
    return obj


def litres(obj: Json) -> Json:
    obj["spec"]["litres"] = obj["spec"].pop("cups") // 4
    return obj


def sized(request: AdmissionRequest) -> Allowed | Denied:
    """Asked in v2, whatever was written."""
    if request.object is not None and request.object["spec"]["cups"] > 40:
        return Denied("no kettle is that big", reason="Invalid", code=422)
    return Allowed(warnings=("hot",))


def coloured(request: AdmissionRequest) -> Change:
    """Asked in v1, as it is written there."""
    if request.object is None:
        return Allowed()
    request.object["metadata"].setdefault("labels", {})["color"] = "white"
    return Mutated(object=request.object)


def definition(url: str) -> Json:
    number = {"type": "integer"}
    schemas = {"v1": {"litres": number}, "v2": {"cups": number}}
    client = {"url": f"{url}/convert"}
    return {
        "metadata": {"name": DEFINITION},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "kettles", "kind": "Kettle"},
            "conversion": {
                "strategy": "Webhook",
                "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": client},
            },
            "versions": [
                {"name": name, "served": True, "storage": name == "v2", "schema": _schema(spec)}
                for name, spec in schemas.items()
            ],
        },
    }


def _schema(spec: Json) -> Json:
    inner = {"type": "object", "properties": spec}
    return {"openAPIV3Schema": {"type": "object", "properties": {"spec": inner}}}


def configuration(url: str, version: str) -> Json:
    rule = {
        "apiGroups": [GROUP],
        "apiVersions": [version],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["kettles"],
    }
    webhook = {
        "name": "kettles.tea.example.com",
        "clientConfig": {"url": url},
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 5,
    }
    return {"metadata": {"name": CONFIGURATION}, "webhooks": [webhook]}


@dataclass
class World:
    """An operator with webhooks, and a client of its cluster."""

    client: Client
    manager: Manager
    server: WebhookServer
    metrics: WebhookMetrics
    warnings: list[str] = field(default_factory=list)


def rotating(seconds: float) -> RotationOptions:
    """A new authority so many seconds after the last: certificates begin an hour before they are
    made, and are replaced in the last third of their life."""
    return RotationOptions(
        hosts=("localhost",),
        authority_life=timedelta(minutes=30, seconds=seconds * 1.5),
        leaf_life=timedelta(hours=2),
        settle=timedelta(seconds=seconds / 2),
    )


def operator(transport: Transport, options: RotationOptions) -> World:
    manager = Manager(
        transport, clock=CLOCK, random=Random(5), options=ManagerOptions(grace_seconds=1)
    )
    metrics = WebhookMetrics(CollectorRegistry())
    server = WebhookServer(
        SecretCertificates(manager.cache, SECRET, metrics=metrics),
        clock=CLOCK,
        registry=manager.registry,
        metrics=metrics,
        options=WebhookOptions(bind_address="127.0.0.1:0", drain_seconds=1),
    )
    server.validate("/validate", sized)
    server.mutate("/mutate", coloured)
    kettles = HubAndSpokes(
        group=GROUP, kind="Kettle", hub="v2", spokes={"v1": Spoke(to_hub=cups, from_hub=litres)}
    )
    server.convert("/convert", Conversions(kettles))
    manager.serve_webhooks(server)
    manager.add(certificate_controller(manager, SECRET, NAMES, options))
    warnings: list[str] = []
    client = Client(transport, clock=CLOCK, random=Random(6), on_warning=warnings.append)
    return World(client, manager, server, metrics, warnings)


@asynccontextmanager
async def operating(transport: Transport, seconds: float) -> AsyncIterator[World]:
    """Runs, is registered, and the API server has heard of it."""
    world, stop = operator(transport, rotating(seconds)), asyncio.Event()
    async with asyncio.timeout(300), asyncio.TaskGroup() as group:
        running = group.create_task(world.manager.run(stop))
        await until(lambda: world.server.unready() is None)
        await register(world)
        yield world
        stop.set()
        await running


async def until(holds: Any) -> None:
    while not holds():
        await CLOCK.sleep(0.02)


async def register(world: World) -> None:
    """Without any bundle: that is the operator's to write."""
    url = f"https://localhost:{world.server.bound.rpartition(':')[2]}"
    client = world.client
    await client.create(CRDS, definition(url))
    mutating = configuration(f"{url}/mutate", "v1")
    await client.create(MUTATINGWEBHOOKCONFIGURATIONS, mutating)
    validating = configuration(f"{url}/validate", "v2")
    await client.create(VALIDATINGWEBHOOKCONFIGURATIONS, validating)
    while True:
        try:
            made = await client.create(V1, kettle("first", 1))
            await client.get(V2, ObjectKey("default", "first"))
        except ApiError:
            await CLOCK.sleep(0.05)
            continue
        await client.delete(V1, ObjectKey("default", "first"))
        if made.meta.labels.get("color") == "white" and "hot" in world.warnings:
            return


def kettle(name: str, litres: int) -> Json:
    return {"metadata": {"namespace": "default", "name": name}, "spec": {"litres": litres}}


async def one_life(world: World, name: str) -> None:
    """Nothing of this may fail: every request passes one or more of the webhooks."""
    client, key = world.client, ObjectKey("default", name)
    made = await client.create(V1, kettle(name, 2))
    assert made.meta.labels["color"] == "white"
    assert made.get("spec") == {"litres": 2}
    assert (await client.get(V2, key)).get("spec") == {"cups": 8}
    changed = await client.merge_patch(V2, key, {"spec": {"cups": 12}})
    assert changed.get("spec") == {"cups": 12}
    assert (await client.get(V1, key)).get("spec") == {"litres": 3}
    with pytest.raises(ApiError, match="no kettle is that big") as refused:
        await client.merge_patch(V1, key, {"spec": {"litres": 11}})
    assert refused.value.code == 422
    assert [one.meta.name for one in (await client.list(V1, namespace="default")).items] == [name]
    await client.delete(V1, key)


async def rotated(world: World) -> None:
    """Work goes on while authorities come and leaves are replaced; no request fails."""
    reads = world.metrics.certificate_reads._value.get
    bundles, lives, first = set(), 0, reads()
    # On a slow machine several rotations may pass in one life: all three are waited for.
    while min(reads() - first, len(bundles) - 1, lives - 1) < ROTATIONS:
        bundles.add(content_of(await world.client.get(SECRETS, SECRET))[BUNDLE])
        await one_life(world, f"k{lives}")
        lives += 1
    assert world.metrics.certificate_errors._value.get() == 0
    assert world.metrics.panics._value.get() == 0


@pytest.mark.realtime
async def test_the_embedded_server_calls_the_framework_through_rotations() -> None:
    """Validating, mutating and converting, with certificates that the framework makes, publishes
    and replaces: over HTTPS, as anywhere."""
    server = ApiServer(clock=CLOCK, random=Random(4))
    server.webhooks = HttpsCaller()
    async with operating(in_process(server), 1.5) as world:
        await rotated(world)


@pytest.mark.realtime
@pytest.mark.controlplane
async def test_the_real_server_calls_the_framework_through_rotations(real: ControlPlane) -> None:
    """The same with a real API server, which hears of a new bundle when it does."""
    async with users(real) as transports, operating(transports["admin"], 12) as world:
        await rotated(world)
