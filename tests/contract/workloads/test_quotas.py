"""What a namespace may use at most, and what is given to those that ask for nothing.

The admission of a real server learns of quotas and ranges from watches of its own: what it says is
asked for in dry runs, which use nothing up, until it knows.
"""

from collections.abc import Awaitable, Callable, Mapping

from kaito.kube.errors import Forbidden
from kaito.kube.objects import Json, Record, Resource
from kaito.kube.resources import (
    DEPLOYMENTS,
    LIMITRANGES,
    PODS,
    PVCS,
    RESOURCEQUOTAS,
    SECRETS,
    SERVICES,
)
from tests.contract.workloads.scene import Scene

GPU = "requests.nvidia.com/gpu"
Amounts = Mapping[str, str]


def _container(
    name: str = "c", requests: Amounts | None = None, limits: Amounts | None = None
) -> Json:
    given = {"requests": requests, "limits": limits}
    resources = {side: dict(amounts) for side, amounts in given.items() if amounts}
    return {"name": name, "image": "i", "resources": resources}


def _pod(*containers: Json, **spec: object) -> Json:
    return {"containers": list(containers), "schedulerName": "nobody", **spec}


Attempt = Callable[[], Awaitable[Record]]


def _making(
    here: Scene, resource: Resource, spec: Json, name: str = "x", *, dry_run: bool = True
) -> Attempt:
    obj = {"metadata": {"name": name, "namespace": here.namespace}, "spec": spec}
    if resource == SECRETS:
        del obj["spec"]
    return lambda: here.client.create(resource, obj, dry_run=dry_run)


async def _refused(here: Scene, attempt: Attempt, why: str) -> None:
    """Wait until an attempt is refused for this reason."""
    deadline = here.clock.monotonic() + here.patience
    while True:
        try:
            found = str((await attempt()).json())
        except Forbidden as error:
            found = str(error).partition(" is forbidden: ")[2]
        if found == why:
            return
        assert here.clock.monotonic() < deadline, found
        await here.clock.sleep(0.1)


async def _made(
    here: Scene, attempt: Attempt, holds: Callable[[Record], bool] = lambda _: True
) -> Json:
    """Wait until an attempt is let in and makes what is wanted."""
    deadline = here.clock.monotonic() + here.patience
    while True:
        try:
            found = await attempt()
        except Forbidden:
            assert here.clock.monotonic() < deadline
        else:
            if holds(found):
                return found.json()
            assert here.clock.monotonic() < deadline, found.json()
        await here.clock.sleep(0.1)


async def _quota(here: Scene, name: str, hard: Amounts, **spec: object) -> None:
    """A quota, counted once."""
    await here.create(RESOURCEQUOTAS, {"hard": dict(hard), **spec}, name)
    await here.until(RESOURCEQUOTAS, name, lambda q: q.get("status", "hard") == hard)


async def _used(here: Scene, name: str, **amounts: str) -> Json:
    """What is used, once that many are."""

    def counted(quota: Record) -> bool:
        return all(quota.get("status", "used", key) == text for key, text in amounts.items())

    found: Json = (await here.until(RESOURCEQUOTAS, name, counted)).json()["status"]["used"]
    return found


STORAGE = "gold.storageclass.storage.k8s.io/requests.storage"


async def test_what_pods_use(scene):
    """Requests and limits are counted as pods come and go; a container must say what a quota
    counts, and one pod too many is refused, in the server's words."""
    async with scene as here:
        hard = {
            "pods": "2",
            "requests.cpu": "1",
            "memory": "2Gi",
            "limits.memory": "1Gi",
            GPU: "2",
            "count/widgets.example.com": "1",
            "x.example.com/y": "1",
        }
        await _quota(here, "all", hard)
        names = ("pods", "requests.cpu", "memory", "limits.memory", GPU)
        assert await _used(here, "all") == dict.fromkeys(names, "0")
        silent = _pod(
            _container("b"), _container("a", {"cpu": "1"}), initContainers=[_container("i")]
        )
        why = (
            "failed quota: all: must specify limits.memory for: a,b,i; memory for: a,b,i; "
            "requests.cpu for: b,i"
        )
        await _refused(here, _making(here, PODS, silent), why)
        big = _container("c", {"cpu": "3"}, {"memory": "2Gi", "nvidia.com/gpu": "4"})
        why = (
            f"exceeded quota: all, requested: limits.memory=2Gi,requests.cpu=3,{GPU}=4, "
            f"used: limits.memory=0,requests.cpu=0,{GPU}=0, "
            f"limited: limits.memory=1Gi,requests.cpu=1,{GPU}=2"
        )
        await _refused(here, _making(here, PODS, _pod(big)), why)
        small = _container("c", {"cpu": "300m"}, {"memory": "200Mi", "nvidia.com/gpu": "1"})
        for name in ("one", "two"):
            await _made(here, _making(here, PODS, _pod(small), name, dry_run=False))
        third = _container("c", {"cpu": "100m"}, {"memory": "1Mi"})
        why = "exceeded quota: all, requested: pods=1, used: pods=2, limited: pods=2"
        await _refused(here, _making(here, PODS, _pod(third)), why)
        used = await _used(here, "all", pods="2")
        assert [used[name] for name in names] == ["2", "600m", "400Mi", "400Mi", "2"]
        await here.client.delete(PODS, here.key("one"), grace_seconds=0)
        used = await _used(here, "all", pods="1")
        assert [used[name] for name in names] == ["1", "300m", "200Mi", "200Mi", "1"]
        await _made(here, _making(here, PODS, _pod(third)))


async def test_objects_that_are_counted(scene):
    """The last one that fits, and no more; an update may use more; what is deleted may come
    again."""
    async with scene as here:
        hard = {
            "secrets": "1",
            "count/deployments.apps": "0",
            "services.nodeports": "2",
            STORAGE: "5Gi",
        }
        await _quota(here, "all", hard)
        await _made(here, _making(here, SECRETS, {}, "a"))
        await _made(here, _making(here, SECRETS, {}, "a", dry_run=False))
        why = "exceeded quota: all, requested: secrets=1, used: secrets=1, limited: secrets=1"
        await _refused(here, _making(here, SECRETS, {}, "b"), why)
        await here.client.delete(SECRETS, here.key("a"))
        await _used(here, "all", secrets="0")
        await _made(here, _making(here, SECRETS, {}, "b"))

        selector = {"matchLabels": {"app": "w"}}
        deployment = {"selector": selector, "template": here.template("x")}
        name = "count/deployments.apps"
        why = f"exceeded quota: all, requested: {name}=1, used: {name}=0, limited: {name}=0"
        await _refused(here, _making(here, DEPLOYMENTS, deployment), why)

        ports = [{"name": f"p{n}", "port": n} for n in range(80, 83)]
        service = {"type": "NodePort", "ports": ports[:1]}
        await _made(here, _making(here, SERVICES, service, "s", dry_run=False))
        more = {"spec": {"ports": ports}}
        name = "services.nodeports"
        await _refused(
            here,
            lambda: here.client.merge_patch(SERVICES, here.key("s"), more, dry_run=True),
            f"exceeded quota: all, requested: {name}=2, used: {name}=1, limited: {name}=2",
        )
        claim = {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "gold",
            "resources": {"requests": {"storage": "8Gi"}},
        }
        why = f"exceeded quota: all, requested: {STORAGE}=8Gi, used: {STORAGE}=0, "
        await _refused(here, _making(here, PVCS, claim), f"{why}limited: {STORAGE}=5Gi")


async def test_quotas_of_some_pods(scene):
    """Scopes choose the pods that a quota counts."""
    async with scene as here:
        critical = {
            "scopeName": "PriorityClass",
            "operator": "In",
            "values": ["system-node-critical"],
        }
        await _quota(here, "best", {"pods": "0"}, scopes=["BestEffort"])
        await _quota(here, "ends", {"pods": "0"}, scopes=["Terminating"])
        await _quota(here, "top", {"pods": "0"}, scopeSelector={"matchExpressions": [critical]})
        busy = _container("c", {"cpu": "1"})
        for quota, pod in (
            ("best", _pod(_container())),
            ("ends", _pod(busy, activeDeadlineSeconds=9)),
            ("top", _pod(busy, priorityClassName="system-node-critical")),
        ):
            why = f"exceeded quota: {quota}, requested: pods=1, used: pods=0, limited: pods=0"
            await _refused(here, _making(here, PODS, pod), why)
        await _made(here, _making(here, PODS, _pod(busy)))


CONTAINERS = {
    "type": "Container",
    "default": {"cpu": "500m", "memory": "512Mi"},
    "defaultRequest": {"cpu": "100m"},
    "min": {"cpu": "50m"},
    "max": {"cpu": "2", "memory": "1Gi"},
    "maxLimitRequestRatio": {"cpu": "10"},
}
TOLD = "kubernetes.io/limit-ranger"


async def test_what_limit_ranges_give(scene):
    """Containers that say nothing get defaults, which an annotation tells; what they say stays."""

    def told(pod: Record) -> bool:
        return TOLD in pod.meta.annotations

    async with scene as here:
        await here.create(LIMITRANGES, {"limits": [CONTAINERS]}, "limits")
        silent = _pod(_container("a"), initContainers=[_container("i")])
        plain = await _made(here, _making(here, PODS, silent), told)
        given = {
            "limits": {"cpu": "500m", "memory": "512Mi"},
            "requests": {"cpu": "100m", "memory": "512Mi"},
        }
        spec = plain["spec"]
        assert [c["resources"] for c in spec["containers"] + spec["initContainers"]] == [given] * 2
        assert plain["metadata"]["annotations"][TOLD] == (
            "LimitRanger plugin set: cpu, memory request for container a; cpu, memory limit for "
            "container a; cpu, memory request for init container i; cpu, memory limit for init "
            "container i"
        )
        assert plain["status"]["qosClass"] == "Burstable"
        some = _pod(_container("a", {"cpu": "200m"}, {"memory": "64Mi"}))
        partly = await _made(here, _making(here, PODS, some), told)
        assert partly["spec"]["containers"][0]["resources"] == {
            "limits": {"cpu": "500m", "memory": "64Mi"},
            "requests": {"cpu": "200m", "memory": "64Mi"},
        }
        assert partly["metadata"]["annotations"][TOLD] == (
            "LimitRanger plugin set: cpu limit for container a"
        )


async def test_what_limit_ranges_refuse(scene):
    """Too little, too much and too far apart, of a container, a pod or a claim: all is told."""
    async with scene as here:
        bounds = {
            "min": {"memory": "10Mi"},
            "max": {"cpu": "3"},
            "maxLimitRequestRatio": {"memory": "2"},
        }
        storage = {"min": {"storage": "1Gi"}, "max": {"storage": "5Gi"}}
        items = [
            CONTAINERS,
            {"type": "Pod", **bounds},
            {"type": "PersistentVolumeClaim", **storage},
        ]
        await here.create(LIMITRANGES, {"limits": items}, "limits")
        for containers, why in (
            (
                [_container("a", {"cpu": "10m"}, {"cpu": "4"})],
                (
                    "[minimum cpu usage per Container is 50m, but request is 10m, "
                    "maximum cpu usage per Container is 2, but limit is 4, "
                    "cpu max limit to request ratio per Container is 10, "
                    "but provided ratio is 400.000000, "
                    "maximum cpu usage per Pod is 3, but limit is 4]"
                ),
            ),
            (
                [_container(name, {"cpu": "1"}, {"cpu": "2"}) for name in "ab"],
                "maximum cpu usage per Pod is 3, but limit is 4",
            ),
            (
                [_container("a", {"memory": "1Mi"}, {"memory": "1Gi"})],
                (
                    "[minimum memory usage per Pod is 10Mi, but request is 1Mi, "
                    "memory max limit to request ratio per Pod is 2, "
                    "but provided ratio is 1024.000000]"
                ),
            ),
        ):
            await _refused(here, _making(here, PODS, _pod(*containers)), why)
        for size, which, bound in (("10Gi", "maximum", "5Gi"), ("1Mi", "minimum", "1Gi")):
            claim = {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "x",
                "resources": {"requests": {"storage": size}},
            }
            why = f"{which} storage usage per PersistentVolumeClaim is {bound}, but request is "
            await _refused(here, _making(here, PVCS, claim), f"{why}{size}")


async def test_what_a_limit_range_misses(scene):
    """Where a bound is set, a pod must say something."""
    async with scene as here:
        bounds = {
            "min": {"memory": "10Mi"},
            "max": {"cpu": "4"},
            "maxLimitRequestRatio": {"cpu": "3"},
        }
        await here.create(LIMITRANGES, {"limits": [{"type": "Pod", **bounds}]}, "limits")
        why = (
            "[minimum memory usage per Pod is 10Mi.  No request is specified, "
            "maximum cpu usage per Pod is 4.  No limit is specified, "
            "cpu max limit to request ratio per Pod is 3, "
            "but no request is specified or request is 0]"
        )
        await _refused(here, _making(here, PODS, _pod(_container())), why)
