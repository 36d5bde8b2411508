"""Taking over a running KAITO installation: everything goes on as it is, until somebody asks."""

import pytest

from kaito.api.resources import NODECLAIMS, WORKSPACES
from kaito.kube.errors import NotFound
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import CONTROLLERREVISIONS, PODS, SECRETS, SERVICES, STATEFULSETS
from tests.scenarios.installation import NAMES, RESOURCES, Installation
from tests.scenarios.world import world

INFERENCE = "inference-phi-4-mini"
TUNING = "tuning-phi-3-mini-128k"


def as_it_was(_):
    """As recorded."""


def as_deployment(found):
    """As KAITO before v0.8 ran inference."""
    for obj in found.objects:
        if obj["kind"] == "StatefulSet":
            obj["kind"] = "Deployment"
            spec = obj["spec"]
            kept = ("replicas", "revisionHistoryLimit", "selector", "template")
            obj["spec"] = {name: spec[name] for name in kept}
        if obj["kind"] == "Service":
            obj["spec"]["selector"].pop("statefulset.kubernetes.io/pod-name", None)
    found.objects = [o for o in found.objects if not o["metadata"]["name"].endswith("-headless")]


def with_local_disks(found):
    """As KAITO renders it where a StorageClass of local NVMe disks exists."""
    spec = found.workload["spec"]
    pod = spec["template"]["spec"]
    pod["volumes"] = [v for v in pod["volumes"] if v["name"] != "model-weights-volume"]
    claim = {
        "metadata": {"name": "model-weights-volume"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "87Gi"}},
            "storageClassName": "kaito-local-nvme-disk",
        },
    }
    spec["volumeClaimTemplates"] = [claim]


async def installed(here, name, change=as_it_was):
    """KAITO's work, done, and KAITO gone."""
    found = Installation(name)
    change(found)
    uid = await found.ask_for_machines(here.client, here.arm.add_pool)
    assert await here.until(lambda: found.register(here.client, here.clock), 3600)
    await found.run(here.client, uid)
    assert await here.until(lambda: running(here), 7200), await pods(here)
    return found


async def pods(here):
    """Every pod, in the state that tells whether it was ever touched."""
    found = (await here.client.list(PODS)).items
    return {
        pod.meta.name: (
            pod.meta.uid,
            pod.get("spec", "nodeName"),
            [
                (status["name"], status["restartCount"], str(status.get("state")))
                for status in pod.get("status", "containerStatuses") or ()
            ],
        )
        for pod in found
    }


async def running(here):
    found = (await here.client.list(PODS)).items
    return bool(found) and all(
        pod.get("status", "phase") == "Running"
        and any(
            c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", "conditions")
        )
        for pod in found
    )


async def live(here, obj):
    meta = obj["metadata"]
    key = ObjectKey(meta.get("namespace", ""), meta["name"])
    return await here.client.get(RESOURCES[obj["kind"]], key)


async def workspace(here, found):
    return await here.client.get(WORKSPACES, found.key)


async def annotate(here, found, **annotations):
    metadata = {"annotations": {f"kaito.sh/{k}": v for k, v in annotations.items()}}
    await here.client.merge_patch(WORKSPACES, found.key, {"metadata": metadata})


async def edit(here, found, **fields):
    await here.client.merge_patch(WORKSPACES, found.key, fields)


async def taken_over(here, found):
    """The first life of our operator with it, to the end of what it has to do."""
    operator = here.operator()
    await here.clock.sleep(300)
    ready = await here.condition(found.name)
    assert (ready["status"], ready["reason"]) in (("True", "Ready"), ("False", "TuningRunning"))
    return operator


async def command(here, found):
    workload = await live(here, found.workload)
    return workload.get("spec", "template", "spec")["containers"][0]["command"]


@pytest.mark.parametrize("name", NAMES)
async def test_taking_over_touches_no_pod_and_no_machine(name):
    """Same pods, same claims, same pools, same template and Services; and the Workspace is Ready
    (a training goes on), saying whether this version would make something else."""
    async with world() as here:
        found = await installed(here, name)
        before = await pods(here)
        pools = here.arm.states()
        workload = await live(here, found.workload)
        services = [await live(here, obj) for obj in found.of_kind("Service")]

        operator = await taken_over(here, found)

        assert await pods(here) == before
        assert here.arm.states() == pools
        assert here.arm.meter.pools_created == 0
        claims = (await here.client.list(NODECLAIMS)).items
        assert sorted(claim.meta.name for claim in claims) == sorted(pools)
        after = await live(here, found.workload)
        assert after.meta.generation == workload.meta.generation
        assert after.get("spec") == workload.get("spec")
        for service in services:
            assert (await live(here, service.json())).get("spec") == service.get("spec")
        told = await here.condition(found.name, "UpdateAvailable")
        refused = ("MultiNodeNotServed", "InvalidWorkspace")
        assert (told["status"], told["reason"]) in (
            ("True", "TakenOver"),
            *(("False", reason) for reason in refused),
        )
        await operator.stop()


@pytest.mark.parametrize("name", NAMES)
async def test_the_second_start_writes_nothing(name):
    """What was taken over is ours: a restart finds it as intended, and costs the server reads."""
    async with world() as here:
        found = await installed(here, name)
        first = await taken_over(here, found)
        await first.stop()
        since = len(here.requests)

        second = here.operator()
        await here.clock.sleep(120)

        assert here.sent(since=since, writes=True) == []
        await second.stop()


@pytest.mark.parametrize("name", NAMES)
async def test_deleting_gives_everything_back(name):
    """Claims that KAITO made, under names that are not ours, their pools, and all the objects."""
    async with world() as here:
        found = await installed(here, name)
        operator = await taken_over(here, found)

        await here.delete(found.name)
        await here.gone(found.name)
        await here.clock.sleep(900)

        assert await here.leftovers() == {"claims": 0, "pools": 0, "nodes": 0, "pods": 0}
        left = [obj for obj in found.owned if "ownerReferences" in obj["metadata"]]
        for obj in left:
            with pytest.raises(NotFound):
                await live(here, obj)
        await operator.stop()


@pytest.mark.parametrize("name", [INFERENCE, TUNING])
async def test_a_workspace_that_was_deleted_meanwhile_gives_everything_back(name):
    """KAITO's finalizer is ours: what it had not got to any more is done here, and nothing that is
    going is taken over first."""
    async with world() as here:
        found = await installed(here, name)
        await here.delete(found.name)

        operator = here.operator()
        await here.gone(found.name)
        await here.clock.sleep(900)

        assert await here.leftovers() == {"claims": 0, "pools": 0, "nodes": 0, "pods": 0}
        written = {r.resource for r in here.sent(writes=True) if r.verb != "delete"}
        assert written.isdisjoint({"statefulsets", "jobs", "services", "controllerrevisions"})
        await operator.stop()


async def test_the_fields_that_kaito_wrote_are_ours():
    """Else what a later rendering leaves out would stay for ever; its entries are moved."""
    async with world() as here:
        found = await installed(here, INFERENCE)
        operator = await taken_over(here, found)

        for obj in (found.workload, *found.of_kind("Service")):
            live_json = await here.client.get_json(
                RESOURCES[obj["kind"]], ObjectKey("default", obj["metadata"]["name"])
            )
            managers = {
                (entry["manager"], entry["operation"])
                for entry in live_json["metadata"]["managedFields"]
                if not entry.get("subresource")
            }
            assert managers == {("kaito-workspace", "Apply")}, obj["metadata"]["name"]
        await operator.stop()


async def test_kaitos_revisions_are_kept_and_ours_begins_beside_them():
    """So that KAITO, should it come back, finds its own record; ours has the present template."""
    async with world() as here:
        found = await installed(here, INFERENCE)
        (theirs,) = found.of_kind("ControllerRevision")
        before = await live(here, theirs)
        operator = await taken_over(here, found)

        assert (await live(here, theirs)).meta.resource_version == before.meta.resource_version
        every = (await here.client.list(CONTROLLERREVISIONS)).items
        (ours,) = [r for r in every if "kaito.sh/applied" in r.meta.annotations]
        (kept, *_) = ours.get("data", "rendered", "first")
        assert kept["spec"] == found.workload["spec"]
        assert ours.get("revision") == 1
        workload = await live(here, found.workload)
        assert workload.meta.annotations["workspace.kaito.io/revision"] == "1"
        await operator.stop()


async def test_drift_is_healed_to_what_was_taken_over():
    """A field that somebody bends goes back to KAITO's value; a Service that somebody deletes
    comes back as KAITO had made it, Ray's port and all."""
    async with world() as here:
        found = await installed(here, INFERENCE)
        operator = await taken_over(here, found)
        wanted = await command(here, found)
        before = (await live(here, found.workload)).json()["spec"]
        bent = (await live(here, found.workload)).json()["spec"]["template"]["spec"]["containers"]
        bent[0]["command"] = ["sleep", "infinity"]

        change = {"spec": {"template": {"spec": {"containers": bent}}}}
        await here.client.merge_patch(RESOURCES["StatefulSet"], found.key, change)
        await here.client.delete(SERVICES, found.key)
        await here.clock.sleep(30)

        assert await command(here, found) == wanted
        assert (await live(here, found.workload)).get("spec") == before
        ports = (await here.client.get(SERVICES, found.key)).get("spec", "ports")
        assert [port["name"] for port in ports] == ["http", "ray", "dashboard", "kv-events"]
        await here.ready(found.name)
        await operator.stop()


async def test_a_new_value_of_the_annotation_takes_what_this_version_renders():
    """On request only; the machine stays, nothing is said any more; an earlier value goes back."""
    async with world() as here:
        found = await installed(here, INFERENCE)
        operator = await taken_over(here, found)
        theirs = await command(here, found)
        pools = here.arm.states()

        await annotate(here, found, update="1")
        await here.clock.sleep(60)
        await here.ready(found.name)

        ours = await command(here, found)
        assert ours != theirs
        assert (await here.condition(found.name, "UpdateAvailable"))["status"] == ""
        ports = (await here.client.get(SERVICES, found.key)).get("spec", "ports")
        assert [port["name"] for port in ports] == ["http", "kv-events"]
        assert here.arm.states() == pools

        await annotate(here, found, update=None)
        await here.clock.sleep(60)
        await here.ready(found.name)
        assert await command(here, found) == theirs
        await operator.stop()


async def test_an_edit_rolls_out():
    """A change of the user's inputs rolls out what this version renders, on the same machine."""
    async with world() as here:
        found = await installed(here, INFERENCE)
        operator = await taken_over(here, found)
        before = await pods(here)
        pools = here.arm.states()

        await annotate(here, found, **{"disable-benchmark": "true"})
        await here.clock.sleep(60)
        await here.ready(found.name)

        assert set(await pods(here)) == set(before)
        assert await pods(here) != before
        assert here.arm.states() == pools
        assert (await live(here, found.workload)).meta.generation > 1
        await operator.stop()


async def test_an_edit_of_a_training_trains_again():
    """A Job's template cannot be changed: KAITO's goes, ours comes, on the same machine."""
    async with world() as here:
        found = await installed(here, TUNING)
        operator = await taken_over(here, found)
        before = (await live(here, found.workload)).meta.uid
        pools = here.arm.states()

        await annotate(here, found, update="now")
        await here.ready(found.name)

        assert (await live(here, found.workload)).meta.uid != before
        assert here.arm.states() == pools
        assert (await here.condition(found.name, "InferenceReady"))["status"] == "True"
        await operator.stop()


async def test_a_training_that_kaito_began_ends_as_kaitos_do():
    """It succeeds, and nothing serves the adapter: that would be another desired state."""
    async with world() as here:
        found = await installed(here, TUNING)
        operator = await taken_over(here, found)

        await here.ready(found.name)

        record = await workspace(here, found)
        assert record.get("status", "state") == "Succeeded"
        assert here.arm.meter.pools_created == 0
        with pytest.raises(NotFound):
            await here.client.get(SERVICES, found.key)
        await operator.stop()


@pytest.mark.parametrize("name", ["inference-multi-node-deepseek-v3"])
async def test_an_edit_of_what_this_version_does_not_serve_is_refused_and_nothing_stops(name):
    """The reason is told; what runs goes on running."""
    async with world() as here:
        found = await installed(here, name)
        operator = await taken_over(here, found)
        before = await pods(here)

        await annotate(here, found, **{"disable-benchmark": "true"})
        await here.clock.sleep(300)

        assert (await here.condition(found.name))["reason"] == "MultiNodeNotServed"
        assert await pods(here) == before
        assert len((await here.client.list(NODECLAIMS)).items) == 5
        await operator.stop()


@pytest.mark.parametrize("change", [as_it_was, as_deployment, with_local_disks])
async def test_an_edit_that_nobody_had_acted_on_rolls_out(change):
    """Between KAITO's end and our start the user edits: the edit is what counts, and whatever was
    there makes way for it."""
    async with world() as here:
        found = await installed(here, INFERENCE, change)
        before = await command(here, found)
        pools = here.arm.states()
        preset = {"preset": {"presetOptions": {"modelAccessSecret": "hf"}}}
        await here.client.create(
            SECRETS,
            {"metadata": {"name": "hf", "namespace": "default"}, "stringData": {"HF_TOKEN": "x"}},
        )
        await edit(here, found, inference=preset)

        operator = here.operator()
        await here.clock.sleep(120)
        await here.ready(found.name)

        after = await here.client.get(STATEFULSETS, found.key)
        assert after.get("spec", "template", "spec")["containers"][0]["command"] != before
        assert after.get("spec", "volumeClaimTemplates") is None
        assert set(await pods(here)) == {f"{found.name}-0"}
        assert here.arm.states() == pools
        await operator.stop()


async def test_a_deployment_of_an_early_kaito_is_kept_until_an_edit():
    """Nothing restarts at first; an edit replaces it by a StatefulSet on the same machine."""
    async with world() as here:
        found = await installed(here, INFERENCE, as_deployment)
        before = await pods(here)
        operator = await taken_over(here, found)
        assert await pods(here) == before

        await annotate(here, found, update="now")
        await here.clock.sleep(60)
        await here.ready(found.name)

        with pytest.raises(NotFound):
            await live(here, found.workload)
        assert set(await pods(here)) == {f"{found.name}-0"}
        assert here.arm.meter.pools_created == 0
        await operator.stop()


async def test_what_cannot_be_changed_is_made_anew_at_an_edit_and_not_before():
    """KAITO's volume claim templates stay while it is as it was, and go with the first edit."""
    async with world() as here:
        found = await installed(here, INFERENCE, with_local_disks)
        before = await pods(here)
        uid = (await live(here, found.workload)).meta.uid
        operator = await taken_over(here, found)
        assert await pods(here) == before

        await annotate(here, found, update="now")
        await here.clock.sleep(60)
        await here.ready(found.name)

        after = await live(here, found.workload)
        assert after.meta.uid != uid
        assert after.get("spec", "volumeClaimTemplates") is None
        await operator.stop()


def on_a_node_pool(found):
    """As KAITO does with Karpenter: a NodePool's machines, by labels of their own."""
    rules = found.workload["spec"]["template"]["spec"]["affinity"]["nodeAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]["nodeSelectorTerms"][0]["matchExpressions"]
    for rule in rules:
        if rule["key"].startswith("kaito.sh/"):
            suffix = rule["key"].removeprefix("kaito.sh/workspace")
            rule["key"] = f"karpenter.kaito.sh/workspace-{suffix or 'name'}"
    found.objects = [obj for obj in found.objects if obj["kind"] != "NodeClaim"]


async def test_machines_of_a_node_pool_are_not_paid_for_twice():
    """No claim is made beside them, neither at first nor at an edit, which is refused."""
    async with world() as here:
        found = Installation(INFERENCE)
        on_a_node_pool(found)
        uid = await found.ask_for_machines(here.client, here.arm.add_pool)
        labels = {
            "apps": "phi-4",
            "karpenter.kaito.sh/workspace-name": found.name,
            "karpenter.kaito.sh/workspace-namespace": "default",
        }
        taints = ["sku=gpu:NoSchedule"]
        here.arm.add_pool("karpenter", found.size, nodeLabels=labels, nodeTaints=taints)
        await found.run(here.client, uid)
        assert await here.until(lambda: running(here), 7200), await pods(here)
        before = await pods(here)

        operator = await taken_over(here, found)
        assert len((await workspace(here, found)).get("status", "workerNodes")) == 1
        await annotate(here, found, **{"disable-benchmark": "true"})
        await here.clock.sleep(300)

        assert (await here.condition(found.name))["reason"] == "NotServedYet"
        assert await pods(here) == before
        assert (await here.client.list(NODECLAIMS)).items == []
        assert here.arm.meter.pools_created == 0
        await operator.stop()


async def test_a_workspace_that_waits_for_its_machine_goes_on_waiting():
    """KAITO had asked for the machine and made nothing else: no second one is asked for, and the
    workload is ours."""
    async with world() as here:
        found = Installation(INFERENCE)
        await found.ask_for_machines(here.client, here.arm.add_pool)

        operator = here.operator()
        await here.ready(found.name)

        assert here.arm.meter.pools_created == 0
        assert (await here.condition(found.name, "UpdateAvailable"))["status"] == ""
        await operator.stop()


async def test_a_claim_of_kaitos_that_is_lost_is_replaced():
    """The machine is ours to keep now: a claim that somebody deletes is asked for again, under a
    name of ours, for the same pods."""
    async with world() as here:
        found = await installed(here, INFERENCE)
        operator = await taken_over(here, found)
        template = await command(here, found)
        (claim,) = (await here.client.list(NODECLAIMS)).items

        await here.client.delete(NODECLAIMS, claim.key)
        await here.clock.sleep(300)
        await here.ready(found.name)

        (replaced,) = (await here.client.list(NODECLAIMS)).items
        assert replaced.meta.name != claim.meta.name
        assert await command(here, found) == template
        await operator.stop()
