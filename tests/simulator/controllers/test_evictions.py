"""Disruption budgets and taints: which pods may go, and which have to."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kaito.kube.errors import ApiError
from kaito.kube.objects import Json, ObjectKey, Record, record_of
from kaito.kube.resources import DEPLOYMENTS, NODES, PODDISRUPTIONBUDGETS, PODS
from kaito.kube.transport import Request
from kaito.simulator.controllers import disruption
from kaito.simulator.controllers.disruption import Observed
from kaito.simulator.controllers.group import add_control_plane
from kaito.simulator.controllers.tainteviction import patience
from kaito.simulator.nodes.options import NodeOptions
from tests.simulator.pods import container
from tests.simulator.world import TestWorld, world

FAST = replace(NodeOptions(), pull_bytes_per_second=1e12, pull_overhead=0.1)
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _pod(name: str, *, ready: bool = True) -> Record:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    metadata = {"name": name, "namespace": "default", "uid": name}
    return record_of(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "status": {"conditions": conditions},
        }
    )


def _budget(status: Json | None = None, **spec: object) -> Record:
    metadata = {"name": "b", "namespace": "default", "uid": "b", "generation": 1}
    return record_of(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata,
            "spec": spec,
            "status": status or {},
        }
    )


@pytest.mark.parametrize(
    ("spec", "ready", "replicas", "counted"),
    [
        # expected, desired, current, allowed
        ({"minAvailable": 1}, 1, 1, (1, 1, 1, 0)),
        ({"minAvailable": 1}, 3, 3, (3, 1, 3, 2)),
        ({"minAvailable": "50%"}, 3, 3, (3, 2, 3, 1)),
        ({"minAvailable": "50%"}, 1, 3, (3, 2, 1, 0)),
        ({"maxUnavailable": 1}, 2, 3, (3, 2, 2, 0)),
        ({"maxUnavailable": 1}, 3, 3, (3, 2, 3, 1)),
        ({"maxUnavailable": "34%"}, 3, 3, (3, 1, 3, 2)),
        ({"minAvailable": 0}, 0, 0, (0, 0, 0, 0)),
    ],
)
def test_how_a_budget_counts(
    spec: Json, ready: int, replicas: int, counted: tuple[int, int, int, int]
) -> None:
    """Shares are rounded up; a whole number of pods to keep is measured by the pods there are."""
    pods = tuple(_pod(f"p{number}") for number in range(ready))
    seen = Observed(budget=_budget(**spec), pods=pods, replicas=replicas, now=NOW)
    status = disruption.status(seen)
    names = ("expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed")
    assert tuple(status[name] for name in names) == counted
    (condition,) = status["conditions"]
    assert condition["reason"] == ("SufficientPods" if counted[3] else "InsufficientPods")


def test_a_granted_eviction_counts_until_its_end_is_seen() -> None:
    """It counts as gone for two minutes at most, and no longer once the pod is gone."""
    granted = {
        "p0": "2026-01-01T11:59:00Z",
        "p1": "2026-01-01T11:57:00Z",
        "p9": "2026-01-01T11:59:30Z",
    }
    budget = _budget({"disruptedPods": granted}, minAvailable=1)
    pods = (_pod("p0"), _pod("p1"), _pod("p2", ready=False))
    status = disruption.status(Observed(budget=budget, pods=pods, replicas=3, now=NOW))
    assert status["disruptedPods"] == {"p0": "2026-01-01T11:59:00Z"}
    assert status["currentHealthy"] == 1


@pytest.mark.parametrize(
    ("tolerations", "seconds"),
    [
        ([], 0.0),
        ([{"key": "other", "operator": "Exists"}], 0.0),
        ([{"operator": "Exists"}], None),
        ([{"key": "away", "operator": "Exists", "tolerationSeconds": 30}], 30.0),
        ([{"key": "away", "operator": "Exists", "tolerationSeconds": -1}], 0.0),
        ([{"key": "away", "operator": "Equal", "value": "x", "effect": "NoSchedule"}], 0.0),
    ],
)
def test_how_long_a_pod_may_stay(tolerations: list[Json], seconds: float | None) -> None:
    """A pod bears a taint for ever, for a time, or not at all."""
    pod = record_of(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"tolerations": tolerations},
        }
    )
    assert patience(pod, [{"key": "away", "value": "x", "effect": "NoExecute"}]) == seconds


async def _deployed(there: TestWorld, seconds: int | None = None) -> None:
    away = {"key": "away", "operator": "Exists", "tolerationSeconds": seconds}
    tolerations = [{"key": "sku", "operator": "Exists"}, *([away] if seconds else [])]
    spec: Json = {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "w"}},
        "template": {
            "metadata": {"labels": {"app": "w"}},
            "spec": {"containers": [container()], "tolerations": tolerations},
        },
    }
    there.machines.switch_on("gpu-1")
    await there.client.create(
        DEPLOYMENTS, {"metadata": {"name": "w", "namespace": "default"}, "spec": spec}
    )
    await there.until(DEPLOYMENTS, "w", lambda d: d.get("status", "availableReplicas") == 2)


async def _uids(there: TestWorld) -> set[str]:
    found = (await there.client.list(PODS, namespace="default")).items
    return {pod.meta.uid for pod in found if not pod.meta.deleting}


async def test_a_budget_lets_one_after_another_go() -> None:
    """An eviction that leaves too few ready pods is refused until a replacement is ready."""
    async with world(add_control_plane, options=FAST) as there:
        await _deployed(there)
        spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "w"}}}
        metadata = {"name": "b", "namespace": "default"}
        await there.client.create(PODDISRUPTIONBUDGETS, {"metadata": metadata, "spec": spec})
        await there.until(
            PODDISRUPTIONBUDGETS, "b", lambda b: b.get("status", "disruptionsAllowed") == 1
        )

        first, second = (await there.client.list(PODS, namespace="default")).items
        await _evict(there, first)
        with pytest.raises(ApiError, match="violate the pod's disruption budget"):
            await _evict(there, second)
        await there.clock.sleep(120)
        await _evict(there, second)


async def _evict(there: TestWorld, pod: Record) -> None:
    path = PODS.path("default", pod.meta.name, subresource="eviction")
    name = f'{{"metadata": {{"name": "{pod.meta.name}"}}}}'
    headers = {"content-type": "application/json"}
    await there.client.raw(Request(method="POST", path=path, headers=headers, body=name.encode()))


@pytest.mark.parametrize("seconds", [None, 600])
async def test_a_taint_drives_pods_away(seconds: int | None) -> None:
    """NoExecute ends pods that do not tolerate it, at once or when their time is over."""
    async with world(add_control_plane, options=FAST) as there:
        await _deployed(there, seconds)
        before = await _uids(there)
        node = await there.client.get(NODES, ObjectKey("", "gpu-1"))
        taints = [*node.get("spec", "taints"), {"key": "away", "effect": "NoExecute"}]
        await there.client.merge_patch(NODES, node.key, {"spec": {"taints": taints}})

        if seconds:
            await there.clock.sleep(seconds - 30)
            assert await _uids(there) == before
        await there.clock.sleep(60)
        assert not await _uids(there) & before


async def test_nobody_is_driven_away_by_other_taints() -> None:
    """NoSchedule keeps newcomers out and leaves who is there alone."""
    async with world(add_control_plane, options=FAST) as there:
        await _deployed(there)
        before = await _uids(there)
        node = await there.client.get(NODES, ObjectKey("", "gpu-1"))
        taints = [*node.get("spec", "taints"), {"key": "away", "effect": "NoSchedule"}]
        await there.client.merge_patch(NODES, node.key, {"spec": {"taints": taints}})
        await there.clock.sleep(120)
        assert await _uids(there) == before
