"""StatefulSets, Deployments, ReplicaSets, DaemonSets, ControllerRevisions, Jobs, CronJobs."""

from typing import Final

from kaito.apiserver.columns.cells import (
    AGE,
    NAME,
    NONE,
    ago,
    at,
    column,
    containers_of,
    labels_text,
    number,
    plain,
    selector_text,
    text,
    wide,
)
from kaito.apiserver.kinds import Column, Moment
from kaito.apiserver.representing import short_duration
from kaito.kube.clock import parse_rfc3339
from kaito.kube.objects import Json

_TEMPLATE: Final = ("spec", "template", "spec")
_SELECTOR: Final = wide(plain("Selector", lambda obj: selector_text(at(obj, "spec", "selector"))))


def _ready(obj: Json) -> str:
    wanted = at(obj, "spec", "replicas")
    return f"{at(obj, 'status', 'readyReplicas') or 0}/{wanted or 0}"


STATEFULSETS: Final[tuple[Column, ...]] = (
    NAME,
    plain("Ready", _ready),
    AGE,
    *containers_of(*_TEMPLATE),
)
DEPLOYMENTS: Final[tuple[Column, ...]] = (
    NAME,
    plain("Ready", _ready),
    column("Up-to-date", number("status", "updatedReplicas")),
    column("Available", number("status", "availableReplicas")),
    AGE,
    *containers_of(*_TEMPLATE),
    _SELECTOR,
)
REPLICASETS: Final[tuple[Column, ...]] = (
    NAME,
    column("Desired", number("spec", "replicas"), "integer"),
    column("Current", number("status", "replicas"), "integer"),
    column("Ready", number("status", "readyReplicas"), "integer"),
    AGE,
    *containers_of(*_TEMPLATE),
    _SELECTOR,
)
DAEMONSETS: Final[tuple[Column, ...]] = (
    NAME,
    column("Desired", number("status", "desiredNumberScheduled"), "integer"),
    column("Current", number("status", "currentNumberScheduled"), "integer"),
    column("Ready", number("status", "numberReady"), "integer"),
    column("Up-to-date", number("status", "updatedNumberScheduled"), "integer"),
    column("Available", number("status", "numberAvailable"), "integer"),
    plain("Node Selector", lambda obj: labels_text(at(obj, *_TEMPLATE, "nodeSelector"))),
    AGE,
    *containers_of(*_TEMPLATE),
    _SELECTOR,
)


def _controller(obj: Json) -> str:
    owners = obj["metadata"].get("ownerReferences") or []
    owner = next((one for one in owners if one.get("controller")), None)
    if owner is None:
        return NONE
    group = owner["apiVersion"].rpartition("/")[0]
    kind = owner["kind"].lower()
    return f"{kind}.{group}/{owner['name']}" if group else f"{kind}/{owner['name']}"


CONTROLLERREVISIONS: Final[tuple[Column, ...]] = (
    NAME,
    plain("Controller", _controller),
    column("Revision", number("revision")),
    AGE,
)


def _job_status(job: Json) -> str:
    conditions = at(job, "status", "conditions") or []
    true = {one["type"] for one in conditions if one.get("status") == "True"}
    for kind, word in (("Complete", "Complete"), ("Failed", "Failed")):
        if kind in true:
            return word
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if kind in true:
            return kind
    return "Running"


def _completions(job: Json) -> str:
    succeeded = at(job, "status", "succeeded") or 0
    wanted = at(job, "spec", "completions")
    if wanted is not None:
        return f"{succeeded}/{wanted}"
    parallelism = at(job, "spec", "parallelism") or 0
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _duration(job: Json, moment: Moment) -> str:
    start = at(job, "status", "startTime")
    if not start:
        return ""
    end = at(job, "status", "completionTime")
    until = parse_rfc3339(end).timestamp() if end else moment.now
    return short_duration(until - parse_rfc3339(start).timestamp())


JOBS: Final[tuple[Column, ...]] = (
    NAME,
    plain("Status", _job_status),
    plain("Completions", _completions),
    column("Duration", _duration),
    AGE,
    *containers_of(*_TEMPLATE),
    _SELECTOR,
)


def _last_schedule(cron: Json, moment: Moment) -> str:
    last = at(cron, "status", "lastScheduleTime")
    return ago(last, moment) if last else NONE


_CRON_TEMPLATE: Final = ("spec", "jobTemplate", "spec", "template", "spec")
CRONJOBS: Final[tuple[Column, ...]] = (
    NAME,
    column("Schedule", text("spec", "schedule", empty="")),
    column("Timezone", text("spec", "timeZone")),
    plain("Suspend", lambda obj: str(bool(at(obj, "spec", "suspend"))), "boolean"),
    plain("Active", lambda obj: len(at(obj, "status", "active") or []), "integer"),
    column("Last Schedule", _last_schedule),
    AGE,
    *containers_of(*_CRON_TEMPLATE),
    wide(
        plain(
            "Selector",
            lambda obj: selector_text(at(obj, "spec", "jobTemplate", "spec", "selector")),
        )
    ),
)
