"""Rendered objects are canonical: applied once they are stored as they are, twice changes nothing.

A converged object costs no request only if this holds, on the embedded server and on a real one.
"""

import asyncio
from random import Random

import pytest

from kaito.api import crds
from kaito.api.resources import NODECLAIMS
from kaito.api.validation import with_defaults
from kaito.api.workspace import parse
from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock, SystemClock
from kaito.kube.containment import ListKeys, differences
from kaito.kube.errors import NotFound
from kaito.kube.objects import record_of
from kaito.kube.resources import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    CRDS,
    JOBS,
    NAMESPACES,
    SERVICES,
    STATEFULSETS,
)
from kaito.manifests.identity import Identity
from kaito.manifests.render import render, render_all
from kaito.manifests.revision import controller_revision, inputs
from tests.contract.apiserver.real import users
from tests.manifests.rendering import OPTIONS, UID, planned
from tests.manifests.test_golden import CASES

MANAGER = "kaito-workspace"
KINDS = {
    resource.kind: resource
    for resource in (*(CONFIGMAPS, CONTROLLERREVISIONS, JOBS, NODECLAIMS, SERVICES, STATEFULSETS),)
}
CLAIM_SCHEMA = next(
    document
    for document in crds.documents(karpenter=True)
    if "nodeclaims" in str(document["metadata"])
)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
LIST_KEYS = {NODECLAIMS.kind: ListKeys.of_schema(CLAIM_SCHEMA)}


def objects(name):
    """Every object of one Workspace, the record of its revision included."""
    obj = CASES[name]()
    obj["metadata"]["namespace"] = name
    plan = planned(obj)
    identity = Identity(namespace=name, name=obj["metadata"]["name"], uid=UID)
    workspace = parse(record_of(with_defaults(obj)))
    revision = controller_revision(
        identity, inputs(workspace, None), render(plan, identity, OPTIONS), 1
    )
    return [revision, *render_all(plan, identity, OPTIONS)]


async def kinds_known(client, clock):
    """Our custom resources are served, which they are a moment after they are established."""
    for document in crds.documents(karpenter=True):
        await client.apply(CRDS, document, field_manager="test", force=True)
    while True:
        try:
            await client.list(NODECLAIMS)
        except NotFound:
            await clock.sleep(0.1)
        else:
            return


async def holds(client, name):
    """The requirement, for every object of one case."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await client.create(NAMESPACES, namespace)
    for intent in objects(name):
        resource = KINDS[intent["kind"]]
        what = f"{intent['kind']} {intent['metadata']['name']}"
        first = await client.apply(resource, intent, field_manager=MANAGER, force=False)
        assert differences(first, intent, LIST_KEYS.get(intent["kind"])) == [], what
        second = await client.apply(resource, intent, field_manager=MANAGER, force=True)
        assert second.meta.resource_version == first.meta.resource_version, what
        if resource is NODECLAIMS:
            await client.delete(resource, first.key)


@pytest.mark.parametrize("name", CASES)
async def test_on_the_embedded_server(name):
    """The first answer contains what was rendered, the second keeps its resourceVersion."""
    clock = LoopClock()
    server = ApiServer(clock=clock, random=Random(1))
    client = Client(in_process(server), clock=clock, random=Random(2))
    await kinds_known(client, clock)

    await holds(client, name)


@pytest.mark.controlplane
@pytest.mark.realtime
@pytest.mark.parametrize("name", CASES)
async def test_on_a_real_server(name, real):
    """The same on a real API server, where no controller meddles."""
    async with users(real) as transports:
        clock = SystemClock()
        client = Client(transports["admin"], clock=clock, random=Random(2))
        async with asyncio.timeout(120):
            await kinds_known(client, clock)
        await holds(client, name)
