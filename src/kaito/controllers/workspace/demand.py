"""What a Workspace needs to run, read off what is rendered for it."""

from dataclasses import dataclass
from typing import Self, final

from kaito.api.names import GPU_RESOURCE
from kaito.kube.objects import Json
from kaito.kube.resources import JOBS
from kaito.manifests.render import Rendered


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Numbers that machines, pods and status are judged by."""

    claims: int
    """Machines to ask for; 0 when they are not this operator's to make."""
    nodes: int
    gpus_per_node: int
    runtime: str
    """`vllm` or `transformers`."""
    serves: bool
    """There is an address to send requests to, sooner or later."""

    @classmethod
    def of_rendered(cls, rendered: Rendered) -> Self:
        """Of what is in force, whatever would be planned today."""
        workload = rendered.workload
        spec = workload["spec"]
        job = workload["kind"] == JOBS.kind
        nodes = spec.get("parallelism" if job else "replicas", 1)
        return cls(
            claims=nodes if rendered.claims is None else rendered.claims,
            nodes=nodes,
            gpus_per_node=_gpus(spec["template"]["spec"]),
            runtime=_runtime(spec["template"]["spec"]),
            serves=not job or bool(rendered.served),
        )


def _containers(pod: Json) -> list[Json]:
    return [*(pod.get("initContainers") or ()), *pod["containers"]]


def _gpus(pod: Json) -> int:
    """Whole GPUs of the container that asks for most; parts of one are not counted."""
    limits = ((one.get("resources") or {}).get("limits") or {} for one in _containers(pod))
    return max(int(found.get(GPU_RESOURCE, 0)) for found in limits)


def _runtime(pod: Json) -> str:
    """KAITO's image has an entry point for each runtime."""
    text = " ".join(word for one in _containers(pod) for word in one.get("command") or ())
    return "transformers" if "/workspace/tfs/" in text else "vllm"
