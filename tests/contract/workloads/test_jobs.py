"""How Jobs count, retry, wait and end, here and there."""

from kaito.kube.objects import Json, Record
from kaito.kube.resources import JOBS, NODES, PODS
from tests.contract.workloads.scene import Scene, is_usable, status_is


def _job(here: Scene, script: str, **spec: object) -> Json:
    return {"template": here.template(script, restartPolicy="Never"), **spec}


def _said(job: Record) -> list[tuple[str, str, str]]:
    conditions = job.get("status", "conditions") or ()
    return [(c["type"], c["status"], c["reason"]) for c in conditions]


def _ended(job: Record) -> bool:
    return bool({"Complete", "Failed"} & {kind for kind, _, _ in _said(job)})


async def test_several_at_a_time(scene):
    """As many pods as `parallelism` until `completions` of them succeeded."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        made = await here.create(JOBS, _job(here, "sleep 200", completions=3, parallelism=2))
        await here.passed(JOBS, made, status_is(active=2))
        done = await here.until(JOBS, "w", _ended)
        assert done.get("status", "succeeded") == 3
        assert len(await here.settled(PODS, 3)) == 3


async def test_a_failed_pod_is_tried_again(scene):
    """Up to `backoffLimit` times; every try is counted."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        await here.create(JOBS, _job(here, "exit 3", backoffLimit=1))
        done = await here.until(JOBS, "w", _ended)
        assert done.get("status", "failed") == 2
        assert _said(done) == [
            ("FailureTarget", "True", "BackoffLimitExceeded"),
            ("Failed", "True", "BackoffLimitExceeded"),
        ]


async def test_a_suspended_job_waits(scene):
    """It has no pods and no start, and says that it is suspended; then that it is resumed."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        await here.create(JOBS, _job(here, "sleep 200", suspend=True))
        held = await here.until(JOBS, "w", lambda job: bool(_said(job)))
        assert _said(held) == [("Suspended", "True", "JobSuspended")]
        assert held.get("status", "conditions")[0]["message"] == "Job suspended"
        assert held.get("status", "startTime") is None
        assert await here.names(PODS) == []
        await here.client.merge_patch(JOBS, here.key("w"), {"spec": {"suspend": False}})
        done = await here.until(JOBS, "w", _ended)
        assert _said(done)[0] == ("Suspended", "False", "JobResumed")
        await here.told(
            ("Job", "Normal", "Suspended", "Job suspended"),
            ("Job", "Normal", "Resumed", "Job resumed"),
        )


async def test_suspending_ends_the_pods(scene):
    """What runs is deleted, and not counted as failed."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        await here.create(JOBS, _job(here, "sleep 100000"))
        await here.until(JOBS, "w", status_is(active=1, ready=1))
        await here.client.merge_patch(JOBS, here.key("w"), {"spec": {"suspend": True}})
        await here.settled(PODS, 0)
        held = await here.until(
            JOBS, "w", lambda job: bool(_said(job)) and not job.get("status", "active")
        )
        assert held.get("status", "failed") is None
        assert _said(held) == [("Suspended", "True", "JobSuspended")]


async def test_a_deadline_ends_it(scene):
    """Its pods are deleted; the reason is the deadline."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        await here.create(JOBS, _job(here, "sleep 100000", activeDeadlineSeconds=2))
        done = await here.until(JOBS, "w", _ended)
        assert _said(done) == [
            ("FailureTarget", "True", "DeadlineExceeded"),
            ("Failed", "True", "DeadlineExceeded"),
        ]
        assert done.get("status", "conditions")[1]["message"] == (
            "Job was active longer than specified deadline"
        )
        await here.settled(PODS, 0)


async def test_a_finished_job_may_go(scene):
    """`ttlSecondsAfterFinished` after its end it is deleted, and its pods with it."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        await here.create(JOBS, _job(here, "sleep 10", ttlSecondsAfterFinished=1))
        await here.gone(JOBS, "w")
        await here.settled(PODS, 0)


async def test_indexed_pods_know_their_number(scene):
    """Each index is done once; the pods are named, labelled and told by it."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        spec = _job(here, "sleep 10", completions=3, parallelism=3, completionMode="Indexed")
        await here.create(JOBS, spec)
        done = await here.until(JOBS, "w", _ended)
        assert done.get("status", "completedIndexes") == "0-2"
        pods = await here.settled(PODS, 3)
        label = "batch.kubernetes.io/job-completion-index"
        assert sorted(pod.meta.labels[label] for pod in pods) == ["0", "1", "2"]
        assert sorted(pod.get("spec", "hostname") for pod in pods) == ["w-0", "w-1", "w-2"]
        (variable,) = pods[0].get("spec", "containers")[0]["env"]
        assert variable == {
            "name": "JOB_COMPLETION_INDEX",
            "valueFrom": {
                "fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{label}']"}
            },
        }


async def test_a_deleted_pod_is_replaced(scene):
    """One that was deleted before it ended counts as failed."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        await here.create(JOBS, _job(here, "sleep 100000"))
        await here.until(JOBS, "w", status_is(active=1, ready=1))
        (pod,) = await here.settled(PODS, 1)
        await here.client.delete(PODS, pod.key)
        done = await here.until(JOBS, "w", status_is(active=1, failed=1))
        assert done.get("status", "succeeded") is None


async def test_fewer_at_a_time(scene):
    """Lowering `parallelism` deletes pods that run."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        await here.create(JOBS, _job(here, "sleep 100000", completions=3, parallelism=3))
        await here.until(JOBS, "w", status_is(active=3, ready=3))
        await here.client.merge_patch(JOBS, here.key("w"), {"spec": {"parallelism": 1}})
        done = await here.until(JOBS, "w", status_is(active=1))
        await here.settled(PODS, 1)
        assert done.get("status", "failed") is None
