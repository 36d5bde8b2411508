"""Pods that want others near, or not."""

from kaito.kube.objects import Json, Record
from kaito.kube.resources import NODES, PODS
from tests.contract.workloads.scene import IDLE, Scene, is_usable

HOST = "kubernetes.io/hostname"
NO_VICTIMS = "2 No preemption victims found for incoming pod."
HELPLESS = "2 Preemption is not helpful for scheduling."


def _required(side: str, app: str, key: str = HOST, **more: object) -> Json:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}, **more}
    return {side: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _near(app: str, key: str = HOST, **more: object) -> Json:
    return _required("podAffinity", app, key, **more)


def _apart(app: str, key: str = HOST, **more: object) -> Json:
    return _required("podAntiAffinity", app, key, **more)


async def _pod(here: Scene, name: str, app: str, affinity: Json | None = None) -> None:
    template = here.template(IDLE, **({} if affinity is None else {"affinity": affinity}))
    metadata = {"name": name, "namespace": here.namespace, "labels": {"app": app}}
    await here.client.create(PODS, {"metadata": metadata, "spec": template["spec"]})


async def _placed(here: Scene, name: str) -> str:
    found = await here.until(PODS, name, lambda pod: bool(pod.get("spec", "nodeName")))
    return str(found.get("spec", "nodeName"))


async def _refused(here: Scene, name: str, why: str, preemption: str) -> None:
    head = "0/2 nodes are available:"
    message = (
        f"{head} 2 node(s) {why}. no new claims to deallocate, preemption: {head} {preemption}"
    )

    def told(pod: Record) -> bool:
        conditions = pod.get("status", "conditions") or ()
        return any(one.get("message") == message for one in conditions)

    await here.until(PODS, name, told)


async def _two_machines(here: Scene) -> tuple[str, str]:
    one, two = here.machine("one", zone="z"), here.machine("two", zone="z")
    for node in (one, two):
        await here.until(NODES, node, is_usable)
    return one, two


async def test_pods_that_keep_apart(scene):
    """One of a kind on each node, whoever has the term; a place that is left is taken."""
    async with scene as here:
        nodes = await _two_machines(here)
        places = []
        for name in ("a1", "a2"):
            await _pod(here, name, "a", _apart("a"))
            places.append(await _placed(here, name))
        assert sorted(places) == sorted(nodes)
        await _pod(here, "a3", "a", _apart("a"))
        await _refused(here, "a3", "didn't match pod anti-affinity rules", NO_VICTIMS)
        await _pod(here, "plain", "a")
        why = "didn't satisfy existing pods anti-affinity rules"
        await _refused(here, "plain", why, NO_VICTIMS)
        await _pod(here, "zone", "z", _apart("a", "zone"))
        await _refused(here, "zone", "didn't match pod anti-affinity rules", NO_VICTIMS)
        await _pod(here, "other", "b", _apart("a", namespaces=["elsewhere"]))
        assert await _placed(here, "other") in nodes
        await here.client.delete(PODS, here.key("plain"), grace_seconds=0)
        await here.client.delete(PODS, here.key("a1"), grace_seconds=0)
        assert await _placed(here, "a3") == places[0]


async def test_pods_that_stay_together(scene):
    """Where those are that are wanted; the first of a kind that wants its own goes anywhere; a node
    without the label is no place."""
    async with scene as here:
        nodes = await _two_machines(here)
        await _pod(here, "b1", "b", _near("a"))
        await _refused(here, "b1", "didn't match pod affinity rules", HELPLESS)
        await _pod(here, "a1", "a", _near("a"))
        place = await _placed(here, "a1")
        assert place in nodes
        assert await _placed(here, "b1") == place
        await _pod(here, "a2", "a", _near("a", namespaceSelector={}))
        assert await _placed(here, "a2") == place
        await _pod(here, "c1", "c", {**_near("a", "zone"), **_apart("a")})
        assert await _placed(here, "c1") == next(node for node in nodes if node != place)
        await _pod(here, "lost", "d", _near("a", "no-such-label"))
        await _refused(here, "lost", "didn't match pod affinity rules", HELPLESS)
