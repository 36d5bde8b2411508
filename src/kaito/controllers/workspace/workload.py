"""The children of a Workspace: which are wanted, which are there, and how far they are."""

from dataclasses import dataclass
from typing import final

from kaito.api.names import Annotation, Reason
from kaito.controllers.workspace import pods
from kaito.controllers.workspace.observed import Observed
from kaito.controllers.workspace.progress import Step, done, stalled, waiting
from kaito.framework.conditions import find_condition
from kaito.kube.objects import Json, Record
from kaito.manifests.render import Rendered
from kaito.manifests.revision import digest, recorded


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The revision in force: what the user asked for now, and the children it stands for."""

    number: int
    rendered: Rendered
    known: bool
    """It is already recorded in the cluster, under this number."""
    update_available: bool
    """This version of the operator would render something else for the same inputs."""


def current_revision(observed: Observed, wanted: Json, fresh: Rendered) -> Revision:
    """The recorded revision of these inputs if there is one, else a new one.

    Going back to earlier inputs takes their old record up again under a new, higher number.
    """
    newest = max((_number(record) for record in observed.revisions), default=0)
    fingerprint = digest(wanted)
    for record in observed.revisions:
        if record.meta.annotations.get(Annotation.HASH) != fingerprint:
            continue
        kept = recorded(record.get("data") or {})
        if kept is None:
            continue
        current = _number(record) == newest
        return Revision(
            number=newest if current else newest + 1,
            rendered=kept,
            known=current,
            update_available=kept != fresh,
        )
    return Revision(number=newest + 1, rendered=fresh, known=False, update_available=False)


def _number(record: Record) -> int:
    return record.get("revision") or 0


def stamped(child: Json, number: int) -> Json:
    """A workload with the number of its revision on it."""
    metadata = child["metadata"]
    annotations = {**metadata.get("annotations", {}), Annotation.REVISION: str(number)}
    return {**child, "metadata": {**metadata, "annotations": annotations}}


def outdated_job(observed: Observed, number: int) -> Record | None:
    """A Job of an earlier revision. Its template cannot be changed, so it has to go first."""
    job = observed.job
    if job is None or job.meta.annotations.get(Annotation.REVISION) == str(number):
        return None
    return job


def engine_step(observed: Observed, what: str, pending: str) -> Step:
    """Is the StatefulSet ready?"""
    workload = observed.stateful_set
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
