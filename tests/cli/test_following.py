"""How far a Workspace has come, told from the objects in the cluster alone."""

import io
from contextlib import asynccontextmanager
from random import Random

from rich.console import Console

from kaito.api.crds import documents as crds
from kaito.api.names import GPU_RESOURCE, Label
from kaito.api.resources import NODECLAIMS, WORKSPACES
from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer
from kaito.cli.durations import Stopwatch
from kaito.cli.following import Follower
from kaito.cli.journey import INFERENCE, Journey, Sight, Stage, is_ready, stalled
from kaito.cli.progress import Display, line
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock, ScaledClock
from kaito.kube.objects import ObjectKey, record_of
from kaito.kube.resources import CRDS

KEY = ObjectKey("default", "w")
LABELS = {Label.WORKSPACE: "w", Label.WORKSPACE_NAMESPACE: "default"}
GPU_POD = {
    "nodeName": "n",
    "containers": [{"name": "e", "image": "r/e:1", "resources": {"limits": {GPU_RESOURCE: "1"}}}],
}


def workspace(*conditions, tuning=False, generation=1):
    what = {"tuning": {"output": {"image": "r/a:1"}}} if tuning else {"inference": {}}
    return record_of(
        {
            "apiVersion": "kaito.sh/v1beta1",
            "kind": "Workspace",
            "metadata": {"name": "w", "namespace": "default", "generation": generation},
            **what,
            "status": {"conditions": list(conditions)},
        }
    )


def condition(type_, status, reason="R", message="m", generation=1):
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
    }


def claim(reason="Launching", status="Unknown"):
    return record_of(
        {
            "apiVersion": "karpenter.sh/v1",
            "kind": "NodeClaim",
            "metadata": {"name": "c", "labels": LABELS},
            "spec": {},
            "status": {"conditions": [condition("Launched", status, reason)]},
        }
    )


def node(gpus):
    return record_of(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "n", "labels": LABELS},
            "status": {"allocatable": {GPU_RESOURCE: str(gpus)}},
        }
    )


def pod(**status):
    return record_of(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "default", "labels": LABELS},
            "spec": GPU_POD,
            "status": {"containerStatuses": [{"name": "e", "image": "r/e:1", **status}]},
        }
    )


class Steps:
    """A journey in which every look takes a minute of the world and a second of ours."""

    def __init__(self, *, tuning=False):
        clock = LoopClock()
        self.clock = clock
        self.watch = Stopwatch(ScaledClock(clock, 60), clock)
        self.journey = Journey(KEY, tuning, self.watch.now())

    async def see(self, **sight):
        await self.clock.sleep(1)
        return self.journey.see(Sight(**sight), self.watch.now())


async def test_the_stages_of_inference_come_one_by_one():
    """Each object that appears is one stage further, and none is told twice."""
    steps, ws = Steps(), workspace()

    seen = [
        await steps.see(workspace=ws),
        await steps.see(workspace=ws, claims=[claim("LaunchFailed")]),
        await steps.see(workspace=ws, claims=[claim()]),
        await steps.see(workspace=ws, claims=[claim()], nodes=[node(0)]),
        await steps.see(workspace=ws, claims=[claim()], nodes=[node(1)]),
        await steps.see(workspace=ws, claims=[claim()], nodes=[node(1)], pods=[pod(imageID="i")]),
        await steps.see(
            workspace=ws, claims=[claim()], nodes=[node(1)], pods=[pod(imageID="i", started=True)]
        ),
        await steps.see(workspace=workspace(condition("Ready", "True"))),
    ]

    assert seen == [[], *([stage] for stage in INFERENCE)]
    assert str(steps.journey.took(Stage.CLAIM)) == "2m00s simulated, 2.0 s real"
    assert str(steps.journey.took(Stage.POOL)) == "1m00s simulated, 1.0 s real"
    assert steps.journey.done


async def test_stages_nobody_saw_count_as_reached_with_the_next():
    """A watch that comes late still tells the whole way."""
    steps = Steps()

    fresh = await steps.see(workspace=workspace(condition("Ready", "True")))

    assert fresh == list(INFERENCE)


async def test_trouble_is_told_while_it_lasts():
    """The reason and message of Ready, which name cause and cure; gone when Ready is."""
    steps = Steps()

    await steps.see(workspace=workspace(condition("Ready", "False", "QuotaExceeded", "ask for it")))
    told = steps.journey.trouble
    await steps.see(workspace=workspace(condition("Ready", "True")))

    assert told == "QuotaExceeded: ask for it"
    assert steps.journey.trouble == ""


def test_conditions_of_an_earlier_spec_do_not_count():
    """Ready and Stalled are about the generation they name."""
    old = Sight(
        workspace=workspace(condition("Ready", "True"), condition("Stalled", "True"), generation=2)
    )

    assert not is_ready(old)
    assert stalled(old) is None


async def test_tuning_has_two_stages_more():
    """Trained and pushed, by the Job's containers and condition; its pods are no servers."""
    steps, ws = Steps(tuning=True), workspace(tuning=True)
    trainer = {"name": "w", "image": "r/t:1", "resources": {"limits": {GPU_RESOURCE: "1"}}}
    running = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "j", "labels": {**LABELS, "batch.kubernetes.io/job-name": "w"}},
        "spec": {"initContainers": [trainer]},
        "status": {"initContainerStatuses": [{"name": "w", "imageID": "i", "state": {}}]},
    }
    ended = {**running, "status": {"initContainerStatuses": [{"name": "w", "imageID": "i"}]}}
    ended["status"]["initContainerStatuses"][0]["state"] = {"terminated": {"exitCode": 0}}
    job = record_of(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "w"},
            "status": {"conditions": [condition("Complete", "True")]},
        }
    )
    around = {"workspace": ws, "claims": [claim()], "nodes": [node(1)]}

    await steps.see(**around)
    pulled = await steps.see(**around, pods=[record_of(running)])
    trained = await steps.see(**around, pods=[record_of(ended)])
    pushed = await steps.see(**around, pods=[record_of(ended)], jobs=[job])

    assert (pulled, trained, pushed) == ([Stage.IMAGE], [Stage.TRAINED], [Stage.PUSHED])
    assert steps.journey.reached[Stage.PUSHED][1] == "r/a:1"


@asynccontextmanager
async def following():
    clock = LoopClock()
    server = ApiServer(clock=clock, random=Random(1))
    client = Client(in_process(server), clock=clock, random=Random(1))
    for crd in crds(karpenter=True):
        await client.create(CRDS, crd)
    watch = Stopwatch(ScaledClock(clock, 60), clock)
    follower = Follower(client, clock=clock, random=Random(2), now=watch.now)
    out = io.StringIO()
    display = Display(
        Console(file=out, width=100, color_system=None), clock=clock, now=watch.now, mode="lines"
    )
    follower.told = display.told
    async with follower.running():
        yield client, follower, display, out


async def test_the_follower_tells_what_it_sees_as_lines():
    """Watches bring the objects together; each stage is one plain line with both durations."""
    async with following() as (client, follower, display, out):
        journey = follower.begin(KEY, tuning=False)
        async with display.showing(journey):
            await client.create(WORKSPACES, _workspace())
            await client.create(NODECLAIMS, _claim())
            await follower.until(lambda: Stage.CLAIM in journey.reached)

    assert out.getvalue().splitlines() == ["  " + line(journey, Stage.CLAIM)]
    assert line(journey, Stage.CLAIM).endswith("simulated, 0.0 s real")


async def test_a_deleted_workspace_is_followed_no_more():
    """Its journey ends with it."""
    async with following() as (client, follower, _, _):
        await client.create(WORKSPACES, _workspace())
        await follower.until(lambda: KEY in follower.journeys)

        await client.delete(WORKSPACES, KEY)
        await follower.until(lambda: KEY not in follower.journeys)

        assert follower.sight(KEY) is None


def test_a_table_shows_each_stage_once_with_both_clocks():
    """For recordings: the whole table, when the journey has ended."""
    out = io.StringIO()
    console = Console(file=out, width=100, color_system=None)
    watch = Stopwatch(_Frozen(), _Frozen())
    journey = Journey(KEY, False, watch.now())
    journey.see(Sight(workspace=workspace(condition("Ready", "True"))), watch.now())

    display = Display(console, clock=_Frozen(), now=watch.now, mode="picture")
    console.print(display._table(journey, settled=True))

    assert all(out.getvalue().count(f" {stage.value} ") == 1 for stage in INFERENCE)
    assert "simulated" in out.getvalue()


class _Frozen:
    """A clock that stands still."""

    def monotonic(self):
        return 0.0


def _workspace():
    return {
        "metadata": {"name": "w", "namespace": "default"},
        "resource": {"labelSelector": {"matchLabels": {"a": "b"}}},
        "inference": {"preset": {"name": "phi-4-mini-instruct"}},
    }


def _claim():
    return {
        "metadata": {"name": "c", "labels": LABELS},
        "spec": {
            "nodeClassRef": {"group": "kaito.sh", "kind": "KaitoNodeClass", "name": "default"},
            "requirements": [
                {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["S"]}
            ],
        },
    }
