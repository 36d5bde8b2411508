"""The children of a Workspace: which are wanted, which are there, and how far they are."""

from kaito.api.names import Annotation, Reason
from kaito.controllers.workspace import pods
from kaito.controllers.workspace.observed import Observed
from kaito.controllers.workspace.progress import Step, done, stalled, waiting
from kaito.controllers.workspace.target import Revision
from kaito.framework.conditions import find_condition
from kaito.kube.objects import Json, Record, Resource
from kaito.kube.resources import DEPLOYMENTS, JOBS, STATEFULSETS


def stamped(child: Json, number: int) -> Json:
    """A workload with the number of its revision on it."""
    metadata = child["metadata"]
    annotations = {**metadata.get("annotations", {}), Annotation.REVISION: str(number)}
    return {**child, "metadata": {**metadata, "annotations": annotations}}


def outdated(observed: Observed, revision: Revision) -> tuple[tuple[Resource, Record], ...]:
    """Workloads that have to go before those of `revision` can be made.

    A Job of another revision, as its template cannot be changed, and the server of what it made;
    a StatefulSet whose unchangeable fields are wanted otherwise, or of another revision where a
    Job is wanted, which needs its GPUs; a Deployment where anything else is wanted.
    """
    job, stateful_set = observed.job, observed.stateful_set
    wanted = revision.rendered.workload
    found: list[tuple[Resource, Record]] = []
    if observed.deployment is not None and wanted["kind"] != DEPLOYMENTS.kind:
        found.append((DEPLOYMENTS, observed.deployment))
    if job is not None and _is_of_another(job, revision):
        found.append((JOBS, job))
        if stateful_set is not None:
            found.append((STATEFULSETS, stateful_set))
    elif stateful_set is not None and _must_go(stateful_set, revision):
        found.append((STATEFULSETS, stateful_set))
    return tuple(found)


def _is_of_another(job: Record, revision: Revision) -> bool:
    just_found = Annotation.APPLIED not in job.meta.annotations
    if just_found and revision.rendered.claims is not None:
        return False
    return job.meta.annotations.get(Annotation.REVISION) != str(revision.number)


def _must_go(live: Record, revision: Revision) -> bool:
    wanted = revision.rendered.workload
    if wanted["kind"] != STATEFULSETS.kind:
        return live.meta.annotations.get(Annotation.REVISION) != str(revision.number)
    return _unchangeable(live.get("spec")) != _unchangeable(wanted["spec"])


def _unchangeable(spec: Json) -> Json:
    """What a StatefulSet is born with; of claim templates their names, the rest is defaulted."""
    claims = spec.get("volumeClaimTemplates") or ()
    return {
        "selector": spec["selector"],
        "serviceName": spec.get("serviceName") or "",
        "podManagementPolicy": spec.get("podManagementPolicy") or "OrderedReady",
        "volumeClaimTemplates": [claim["metadata"]["name"] for claim in claims],
    }


def engine_step(observed: Observed, what: str, pending: str) -> Step:
    """Is the StatefulSet ready?"""
    workload = observed.stateful_set or observed.deployment
    if workload is None:
        return waiting(pending, f"the StatefulSet of {what} is being created")
    status = workload.get("status") or {}
    wanted = workload.get("spec", "replicas") or 1
    ready = status.get("readyReplicas", 0)
    seen = status.get("observedGeneration", 0) >= workload.meta.generation
    rolled = status.get("updatedReplicas", wanted) >= wanted
    if ready >= wanted and seen and rolled:
        return done(Reason.INFERENCE_READY, f"{what} answers")
    return _pod_trouble(observed) or waiting(
        pending, f"{ready} of {wanted} pods of {what} are ready; {_stage(observed)}"
    )


def training_step(observed: Observed) -> Step:
    """Has the tuning Job succeeded? Judged by its own conditions: one failed pod is not the end."""
    job = observed.job
    if job is None:
        return waiting(Reason.TUNING_RUNNING, "the tuning Job is being created")
    conditions = job.get("status", "conditions") or []
    complete = find_condition(conditions, "Complete")
    if complete is not None and complete.status == "True":
        return done(Reason.JOB_STARTED, "training is done and its result is where it should be")
    failed = find_condition(conditions, "Failed")
    if failed is not None and failed.status == "True":
        words = pods.failure(observed.pods) or failed.message or failed.reason
        return stalled(
            Reason.TUNING_FAILED,
            f"training failed: {words}; correct the cause and edit the Workspace, or delete it: "
            "its machine is kept, and paid for, until then",
        )
    return _pod_trouble(observed) or waiting(
        Reason.TUNING_RUNNING, f"training is under way; {_stage(observed)}"
    )


def job_started(observed: Observed) -> bool:
    """The Job has, or had, a pod that got as far as running."""
    status = (observed.job.get("status") or {}) if observed.job is not None else {}
    if status.get("succeeded") or status.get("failed") or status.get("ready"):
        return True
    return any(pod.get("status", "phase") == "Running" for pod in observed.pods) or any(
        pods.has_started(pod) for pod in observed.pods
    )


def _pod_trouble(observed: Observed) -> Step | None:
    return pods.trouble([pod for pod in observed.pods if not pod.meta.deleting])


def _stage(observed: Observed) -> str:
    return pods.stage(observed.pods)
