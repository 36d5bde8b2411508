"""Where pods go, and what is said when they cannot go anywhere."""

from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import NODES, PODS
from tests.contract.workloads.scene import IDLE, Scene, is_usable

HELPLESS = "Preemption is not helpful for scheduling."


def _preemption(count: int) -> str:
    """What follows when every node refuses for good."""
    nodes = f"0/{count} nodes are available"
    return f" no new claims to deallocate, preemption: {nodes}: {count} {HELPLESS}"


async def _pod(here: Scene, name: str = "p", *, own: bool = True, **spec: object) -> Record:
    template = here.template(IDLE, **spec)
    if not own:
        del template["spec"]["nodeSelector"]
    return await here.create(PODS, template["spec"], name)


async def _usable(here: Scene, node: str) -> None:
    """Wait until the node is usable and the scheduler has heard of it: it puts a pod there."""
    await here.until(NODES, node, is_usable)
    template = here.template(IDLE, nodeSelector={"kubernetes.io/hostname": node})
    await here.create(PODS, template["spec"], f"on-{node}")
    assert await _placed(here, f"on-{node}") == node


async def _refused(here: Scene, message: str, name: str = "p") -> None:
    """Wait until just this is why the pod is not scheduled."""
    await here.until(PODS, name, lambda pod: [c["message"] for c in _unscheduled(pod)] == [message])


def _unscheduled(pod: Record) -> list[Json]:
    conditions = pod.get("status", "conditions") or ()
    return [c for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False"]


async def _placed(here: Scene, name: str = "p") -> str:
    found = await here.until(PODS, name, lambda pod: bool(pod.get("spec", "nodeName")))
    return str(found.get("spec", "nodeName"))


def _expression(key: str, operator: str, *values: str) -> Json:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def _required(*terms: list[Json]) -> Json:
    name = "requiredDuringSchedulingIgnoredDuringExecution"
    selector = {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}
    return {"nodeAffinity": {name: selector}}


async def test_a_taint_that_is_not_tolerated(scene):
    """The words name the taint; a toleration lets the pod in."""
    async with scene as here:
        node = here.machine("one")
        await _usable(here, node)
        await _pod(here, tolerations=[])
        await _refused(
            here, "0/1 nodes are available: 1 node(s) had untolerated taint(s)." + _preemption(1)
        )
        key = {"key": "sku", "operator": "Exists", "effect": "NoSchedule"}
        await _pod(here, "q", tolerations=[key])
        assert await _placed(here, "q") == node


async def test_a_selector_that_no_node_has(scene):
    """One word for selectors and required affinity alike."""
    async with scene as here:
        await _usable(here, here.machine("one"))
        await _pod(here, nodeSelector={"scene": here.namespace, "absent": "yes"})
        await _refused(
            here,
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
            + _preemption(1),
        )


async def test_terms_of_required_affinity(scene):
    """One term suffices, all expressions of it must hold; every operator."""
    async with scene as here:
        one, two = here.machine("one", tier="1"), here.machine("two", tier="2")
        for node in (one, two):
            await _usable(here, node)
        for name, wanted, terms in (
            ("in", one, ([_expression("tier", "In", "1", "9")],)),
            ("notin", two, ([_expression("tier", "NotIn", "1")],)),
            ("exists", two, ([_expression("tier", "Exists"), _expression("tier", "Gt", "1")],)),
            ("lt", one, ([_expression("tier", "Lt", "2")],)),
            ("either", two, ([_expression("absent", "Exists")], [_expression("tier", "In", "2")])),
        ):
            await _pod(here, name, affinity=_required(*terms))
            assert await _placed(here, name) == wanted
        await _pod(here, "none", affinity=_required([_expression("tier", "DoesNotExist")]))
        await _refused(
            here,
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
            + _preemption(2),
            "none",
        )


async def test_a_node_that_is_cordoned(scene):
    """Nothing new goes there."""
    async with scene as here:
        node = here.machine("one")
        await _usable(here, node)
        await here.client.merge_patch(NODES, ObjectKey("", node), {"spec": {"unschedulable": True}})
        tries = 0
        while True:
            # Until the scheduler has heard of it too.
            name, tries = f"p{tries}", tries + 1
            await _pod(here, name, tolerations=[{"key": "sku", "operator": "Exists"}])
            pod = await here.until(
                PODS, name, lambda p: bool(p.get("spec", "nodeName") or _unscheduled(p))
            )
            if not pod.get("spec", "nodeName"):
                break
        await _refused(
            here, "0/1 nodes are available: 1 node(s) were unschedulable." + _preemption(1), name
        )


async def test_reasons_are_counted(scene):
    """Each reason with its number of nodes, in the order of their words."""
    async with scene as here:
        for node in (here.machine("one", tier="1"), here.machine("two", tier="2")):
            await _usable(here, node)
        cpu = {"requests": {"cpu": "9999"}}
        container = {**here.template(IDLE)["spec"]["containers"][0], "resources": cpu}
        selector = {"scene": here.namespace, "tier": "1"}
        await _pod(here, containers=[container], nodeSelector=selector)
        said = _unscheduled(await here.until(PODS, "p", lambda p: bool(_unscheduled(p))))
        assert said[0]["message"].startswith(
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node "
            "affinity/selector."
        )


async def test_a_gate_keeps_the_pod_out(scene):
    """It is not looked at before its gates are gone."""
    async with scene as here:
        node = here.machine("one")
        await _usable(here, node)
        await _pod(here, schedulingGates=[{"name": "example.com/wait"}])
        held = await here.until(PODS, "p", lambda pod: bool(_unscheduled(pod)))
        (condition,) = _unscheduled(held)
        assert condition["reason"] == "SchedulingGated"
        assert condition["message"] == "Scheduling is blocked due to non-empty scheduling gates"
        patch = {"spec": {"schedulingGates": None}}
        await here.client.merge_patch(PODS, here.key("p"), patch)
        assert await _placed(here) == node


async def test_it_is_told(scene):
    """Events in the scheduler's words, for what was placed and for what was not."""
    async with scene as here:
        node = here.machine("one")
        await _usable(here, node)
        await _pod(here, "q", nodeSelector={"scene": here.namespace, "absent": "yes"})
        why = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
        await _refused(here, why + _preemption(1), "q")
        placed = f"Successfully assigned {here.namespace}/on-{node} to {node}"
        await here.told(("Pod", "Normal", "Scheduled", placed))
        refused = ("Pod", "Warning", "FailedScheduling", why + _preemption(1))
        await here.told(refused, alone=False)
