"""What must not change once a Workspace exists, because machines or pods were made from it."""

from collections.abc import Iterator

from kaito.api.problems import Problem
from kaito.api.workspace import ResourceSpec, TuningSpec, Workspace


def validate_update(old: Workspace, new: Workspace) -> list[Problem]:
    """Every change that is not allowed. What is wrong with `new` by itself is not looked at."""
    return [*_job(old, new), *_resource(old, new), *_inference(old, new), *_tuning(old, new)]


def _fixed(path: str) -> Problem:
    return Problem(path, "it cannot be changed; make a new Workspace instead")


def _job(old: Workspace, new: Workspace) -> Iterator[Problem]:
    if (old.inference is None) != (new.inference is None):
        yield Problem("inference", "it cannot be added or removed; make a new Workspace instead")
    if (old.tuning is None) != (new.tuning is None):
        yield Problem("tuning", "it cannot be added or removed; make a new Workspace instead")


def _resource(old: Workspace, new: Workspace) -> Iterator[Problem]:
    before, after = old.resource, new.resource
    if before is None or after is None:
        return
    if None not in (before.count, after.count) and before.count != after.count:
        yield _fixed("resource.count")
    if before.partition != after.partition:
        yield _fixed("resource.partition")
    if _moved(before, after):
        yield _fixed("resource.instanceType")
    if before.label_selector.labels() != after.label_selector.labels():
        yield _fixed("resource.labelSelector")


def _moved(before: ResourceSpec, after: ResourceSpec) -> bool:
    """Machine sizes compare without case, as everywhere; one that was empty may be filled in."""
    size = before.instance_type.lower()
    return bool(size) and size != after.instance_type.lower()


def _inference(old: Workspace, new: Workspace) -> Iterator[Problem]:
    before, after = old.inference, new.inference
    if before is None or after is None:
        return
    if before.preset != after.preset:
        yield _fixed("inference.preset")
    if (before.template is None) != (after.template is None):
        yield _fixed("inference.template")


def _tuning(old: Workspace, new: Workspace) -> Iterator[Problem]:
    before, after = old.tuning, new.tuning
    if before is None or after is None:
        return
    if before.preset != after.preset:
        yield _fixed("tuning.preset")
    if before.method.lower() != after.method.lower():
        yield _fixed("tuning.method")
    yield from _data(before, after)


def _data(before: TuningSpec, after: TuningSpec) -> Iterator[Problem]:
    if before.input.name != after.input.name:
        yield _fixed("tuning.input.name")
