"""The indexes of an Indexed Job: which are done, and what a pod is told of its own."""

from collections.abc import Iterable
from typing import Final

from kaito.kube.objects import Json, Record

LABEL: Final = "batch.kubernetes.io/job-completion-index"


def parse(text: str) -> set[int]:
    """`0-2,5` as numbers."""
    found: set[int] = set()
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def written(numbers: Iterable[int]) -> str:
    """Numbers as `0-2,5`; two in a row are written apart by a comma, as Kubernetes does."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    shown = []
    for run in parts:
        if len(run) > 2:
            shown.append(f"{run[0]}-{run[-1]}")
        else:
            shown.extend(map(str, run))
    return ",".join(shown)


def of(pod: Record) -> int:
    """The index that a pod works on; -1 if it says none."""
    text = pod.meta.annotations.get(LABEL, "")
    return int(text) if text.isdigit() else -1


def tell(pod: Json, job: str, index: int) -> None:
    """Name, label and environment of a new pod, in place."""
    metadata, spec = pod["metadata"], pod["spec"]
    metadata["generateName"] = f"{job}-{index}-"
    metadata.setdefault("labels", {})[LABEL] = str(index)
    metadata.setdefault("annotations", {})[LABEL] = str(index)
    spec["hostname"] = f"{job}-{index}"
    field = {"fieldRef": {"fieldPath": f"metadata.labels['{LABEL}']"}}
    for part in ("initContainers", "containers"):
        for container in spec.get(part) or ():
            container.setdefault("env", []).append(
                {"name": "JOB_COMPLETION_INDEX", "valueFrom": field}
            )
