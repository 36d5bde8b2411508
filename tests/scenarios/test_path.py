"""The whole path: a Workspace becomes a model that answers, and leaves nothing behind."""

import json

from tests.scenarios.world import inference, seed, world


async def test_inference_becomes_ready_and_answers():
    """An inference Workspace gets a machine, an engine and an address that answers; deleting it
    gives everything back."""
    async with world() as here:
        operator = here.operator()
        await here.apply(inference())
        await here.ready("workspace-phi-4-mini")

        asked = {"model": "phi-4-mini-instruct", "messages": [{"role": "user", "content": "hi"}]}
        answer = await here.ask(
            "workspace-phi-4-mini", "/v1/chat/completions", json.dumps(asked).encode()
        )
        assert answer.status == 200
        assert json.loads(answer.body)["choices"]
        assert here.arm.meter.pools_created == 1

        await here.delete("workspace-phi-4-mini")
        await here.gone("workspace-phi-4-mini")
        await here.clock.sleep(600)
        assert await here.leftovers() == {"claims": 0, "pools": 0, "nodes": 0, "pods": 0}
        await operator.stop()


async def test_the_seed_is_tuned_pushed_and_served():
    """The seed, its two placeholders filled in, is tuned on one machine, pushed, and served from
    the same machine: /chat answers {"Result": ...}."""
    async with world() as here:
        operator = here.operator()
        await here.apply(seed())
        await here.ready("workspace-tuning-phi-3")

        answer = await here.ask("workspace-tuning-phi-3", "/chat", b'{"prompt": "hello"}')

        assert answer.status == 200
        assert "Result" in json.loads(answer.body)
        assert here.arm.meter.pools_created == 1
        status = (await here.workspace("workspace-tuning-phi-3")).get("status")
        assert status["state"] == "Succeeded"
        conditions = {c["type"]: c["status"] for c in status["conditions"]}
        wanted = ("ResourceReady", "JobStarted", "InferenceReady", "WorkspaceSucceeded", "Ready")
        assert {type_: conditions[type_] for type_ in wanted} == dict.fromkeys(wanted, "True")
        await operator.stop()


async def test_the_seed_as_printed_costs_nothing():
    """With its placeholders the seed is refused before any machine: both lines are named."""
    async with world() as here:
        operator = here.operator()
        await here.apply(seed(filled=False))
        await here.clock.sleep(60)

        ready = await here.condition("workspace-tuning-phi-3")
        stalled = await here.condition("workspace-tuning-phi-3", "Stalled")

        assert (ready["status"], ready["reason"]) == ("False", "OutputNotPushable")
        assert stalled["status"] == "True"
        assert "tuning.output.image" in ready["message"]
        assert "tuning.output.imagePushSecret" in ready["message"]
        assert (await here.leftovers())["claims"] == 0
        assert here.arm.meter.pools_created == 0
        await operator.stop()


async def test_a_converged_workspace_costs_no_request():
    """Ten virtual minutes after Ready the operator has asked for nothing but its watches."""
    async with world() as here:
        operator = here.operator()
        await here.apply(inference())
        await here.ready("workspace-phi-4-mini")
        await here.clock.sleep(120)
        before, cloud = len(here.requests), len(here.arm.requests)

        await here.clock.sleep(600)

        assert here.sent(since=before) == []
        sweeps = here.arm.requests[cloud:]
        assert {method for method, _, _ in sweeps} <= {"GET"}
        await operator.stop()


async def test_an_exhausted_quota_is_told_with_its_cure():
    """Out of quota: cause and cure are in the Workspace; after the quota is raised it goes on."""
    async with world() as here:
        here.arm.set_quota("Standard_NC24ads_A100_v4", 0)
        operator = here.operator()
        await here.apply(inference())
        await here.clock.sleep(120)

        ready = await here.condition("workspace-phi-4-mini")
        assert (ready["status"], ready["reason"]) == ("False", "QuotaExceeded")
        assert "quota" in ready["message"].lower()

        here.arm.set_quota("Standard_NC24ads_A100_v4", None)
        await here.ready("workspace-phi-4-mini")
        assert here.arm.meter.pools_created == 1
        await operator.stop()


async def test_a_missing_secret_is_told_before_any_claim():
    """The push secret is looked for before money is spent, and found once it is there."""
    async with world() as here:
        obj = seed()
        obj["tuning"]["output"]["imagePushSecret"] = "later"
        operator = here.operator()
        await here.apply(obj)
        await here.clock.sleep(60)

        ready = await here.condition("workspace-tuning-phi-3")
        assert ready["reason"] == "SecretNotFound"
        assert "kubectl create secret docker-registry later" in ready["message"]
        assert here.arm.meter.pools_created == 0
        await operator.stop()
