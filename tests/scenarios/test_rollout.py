"""A change of the user's inputs rolls out; a change of ours does not; drift is healed."""

from dataclasses import replace

from kaito.api.resources import WORKSPACES
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import CONFIGMAPS, JOBS, PODS, SERVICES, STATEFULSETS
from kaito.manifests.options import RenderOptions
from tests.scenarios.world import SETTINGS, inference, seed, world

NAME = "workspace-phi-4-mini"
KEY = ObjectKey("default", NAME)


def config(length):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "engine", "namespace": "default"},
        "data": {"inference_config.yaml": f"vllm:\n  max-model-len: {length}\n"},
    }


async def pod_uid(here):
    return (await here.client.get(PODS, ObjectKey("default", f"{NAME}-0"))).meta.uid


async def revision(here):
    workload = await here.client.get(STATEFULSETS, KEY)
    return workload.meta.annotations["workspace.kaito.io/revision"]


async def test_the_content_of_a_config_is_an_input():
    """Editing the ConfigMap that a Workspace names rolls its engine, as a new revision."""
    async with world() as here:
        operator = here.operator()
        await here.client.create(CONFIGMAPS, config(4096))
        obj = inference()
        obj["inference"]["config"] = "engine"
        await here.apply(obj)
        await here.ready(NAME)
        before = await revision(here)

        changed = {"data": config(8192)["data"]}
        await here.client.merge_patch(CONFIGMAPS, ObjectKey("default", "engine"), changed)
        await here.clock.sleep(5)

        assert (before, await revision(here)) == ("1", "2")
        await here.ready(NAME)
        await operator.stop()


async def test_a_newer_operator_restarts_nothing():
    """An operator that would render something else says so and leaves the pods alone, until the
    user changes something."""
    async with world() as here:
        operator = here.operator()
        await here.apply(inference())
        await here.ready(NAME)
        uid = await pod_uid(here)
        await operator.stop()

        here.settings = replace(SETTINGS, render=RenderOptions(registry="mirror.azurecr.io/kaito"))
        newer = here.operator()
        await here.clock.sleep(300)

        assert await pod_uid(here) == uid
        assert (await here.condition(NAME))["status"] == "True"
        assert (await here.condition(NAME, "UpdateAvailable"))["status"] == "True"

        touched = {"metadata": {"annotations": {"kaito.sh/disable-benchmark": "true"}}}
        await here.client.merge_patch(WORKSPACES, KEY, touched)
        await here.clock.sleep(60)
        await here.ready(NAME)

        assert await pod_uid(here) != uid
        assert (await here.condition(NAME, "UpdateAvailable"))["status"] == ""
        await newer.stop()


async def test_a_workspace_may_change_its_work():
    """The engine makes way for a training on the machine that is there, and the other way round."""
    async with world() as here:
        operator = here.operator()
        await here.apply(inference())
        await here.ready(NAME)

        training = {"inference": None, "tuning": seed()["tuning"]}
        await here.client.merge_patch(WORKSPACES, KEY, training)
        await here.clock.sleep(60)
        await here.ready(NAME)
        assert (await here.condition(NAME, "JobStarted"))["status"] == "True"

        engine = {"inference": inference()["inference"], "tuning": None}
        await here.client.merge_patch(WORKSPACES, KEY, engine)
        await here.clock.sleep(60)
        await here.ready(NAME)

        assert await here.count(JOBS) == 0
        assert here.arm.meter.pools_created == 1
        await operator.stop()


async def test_drift_is_healed():
    """A field of ours that somebody edits is put back; a child that somebody deletes returns."""
    async with world() as here:
        operator = here.operator()
        await here.apply(inference())
        await here.ready(NAME)
        selector = {"spec": {"selector": {"kaito.sh/workspace": "elsewhere"}}}
        await here.client.merge_patch(SERVICES, KEY, selector)
        await here.client.delete(SERVICES, ObjectKey("default", f"{NAME}-headless"))
        await here.clock.sleep(10)

        service = await here.client.get(SERVICES, KEY)
        assert service.get("spec", "selector", "kaito.sh/workspace") == NAME
        await here.client.get(SERVICES, ObjectKey("default", f"{NAME}-headless"))
        await operator.stop()


async def test_a_strangers_object_is_not_taken_over():
    """A Service of our name that belongs to somebody else stays as it is, and is named."""
    async with world() as here:
        operator = here.operator()
        stranger = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "namespace": "default"},
            "spec": {"selector": {"app": "mine"}, "ports": [{"name": "web", "port": 80}]},
        }
        await here.client.create(SERVICES, stranger, field_manager="somebody")
        await here.apply(inference())

        async def told():
            return (await here.condition(NAME))["reason"] == "NameConflict"

        assert await here.until(told)
        assert NAME in (await here.condition(NAME))["message"]
        live = await here.client.get(SERVICES, KEY)
        assert live.get("spec", "selector") == {"app": "mine"}
        await operator.stop()
