"""A real cluster full of KAITO's work changes hands, and no pod notices."""

import time

import pytest

from kaito.kube.resources import NODES, PODS
from tests.scenarios.installation import Installation, is_usable

pytestmark = [pytest.mark.controlplane, pytest.mark.realtime]

INFERENCE = "inference-phi-4-mini"
MULTI_NODE = "inference-multi-node-deepseek-v3"
TUNING = "tuning-phi-3-mini-128k"
TOLD = '{.status.conditions[?(@.type=="UpdateAvailable")].reason}'
"""Whether this version would make something else, or nothing, of what was taken over."""
QUIET_SECONDS = 3
READS = {"get", "list", "watch"}
SECRET = (
    *("create", "secret", "docker-registry", "my-registry"),
    *("--docker-server=myregistry.azurecr.io", "--docker-username=me", "--docker-password=secret"),
)


def installed(room, world, name):
    """KAITO's work, done, and KAITO gone."""
    found = Installation(name, room.namespace)
    pools = [claim["metadata"]["name"] for claim in found.of_kind("NodeClaim")]
    uid = world.thread.call(found.ask_for_machines(world.client, world.arm.add_pool))
    world.until(NODES, lambda nodes: joined(nodes, pools))
    assert world.thread.call(found.register(world.client, world.clock))
    world.thread.call(found.run(world.client, uid))
    world.until(PODS, all_ready, namespace=room.namespace)
    return found


def joined(nodes, pools):
    usable = {node.meta.labels.get("agentpool") for node in nodes if is_usable(node)}
    return usable.issuperset(pools)


def all_ready(pods):
    return bool(pods) and all(
        any(
            c["type"] == "Ready" and c["status"] == "True"
            for c in pod.get("status", "conditions") or ()
        )
        for pod in pods
    )


def picture(room, found):
    """Pods to the last restart, and what makes pods: nothing of it may change."""
    pods = {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            pod["spec"]["nodeName"],
            [status["restartCount"] for status in pod["status"]["containerStatuses"]],
        )
        for pod in room.json("pods")["items"]
    }
    kind = found.workload["kind"].lower()
    made = {
        f"{one['kind']}/{one['metadata']['name']}": (
            one["metadata"]["uid"],
            one["metadata"].get("generation"),
            one["spec"],
        )
        for one in room.json(f"{kind}s,services")["items"]
    }
    return pods, made


def writes(audit):
    """What is written in a few seconds."""
    time.sleep(QUIET_SECONDS)
    return [str(one) for one in audit.read() if one.verb not in READS]


@pytest.mark.parametrize("name", [INFERENCE, MULTI_NODE, TUNING])
def test_taken_over_by_the_real_server(name, room, kubectl, idle, audit, world):
    """Nothing that pods are made of changes; the second start writes nothing; deleting gives the
    machine back that KAITO had asked for."""
    room(*SECRET)
    found = installed(room, world, name)
    before, claims, pools = picture(room, found), kubectl.names("nodeclaims"), world.pools()
    workspace = f"workspace/{found.name}"

    idle.start(elect=False)
    room.wait(f"--for=jsonpath={TOLD}", workspace)
    if name != TUNING:
        room.wait("--for=condition=Ready", workspace)
    assert (picture(room, found), kubectl.names("nodeclaims"), world.pools()) == (
        before,
        claims,
        pools,
    )

    while writes(audit):
        """The first one is not done yet."""
    idle.stop()
    audit.read()
    idle.start(elect=False)
    asked = audit.until("watch", "workspaces")
    assert [str(one) for one in asked if one.verb not in READS] == []
    assert writes(audit) == []

    room("delete", workspace, "--timeout=180s")
    assert world.pools() == {}
    room.wait("--for=delete", "pod", "--all", seconds=120)


def test_the_update_is_taken_on_request(room, idle, world):
    """The command in the condition's message rolls the engine out anew, on the same machine."""
    found = installed(room, world, INFERENCE)
    pools, (before, _) = world.pools(), picture(room, found)
    workspace = f"workspace/{found.name}"
    idle.start(elect=False)
    room.wait("--for=condition=UpdateAvailable", workspace)

    path = '{.status.conditions[?(@.type=="UpdateAvailable")].message}'
    message = room("get", workspace, "-o", f"jsonpath={path}").out
    command = message.partition(": kubectl ")[2]
    assert command == (
        f'annotate workspace {found.name} -n {room.namespace} --overwrite kaito.sh/update="$(date)"'
    )
    room("annotate", "workspace", found.name, "--overwrite", "kaito.sh/update=now")

    uids = {uid for uid, _, _ in before.values()}
    world.until(
        PODS,
        lambda pods: all_ready(pods) and uids.isdisjoint(pod.meta.uid for pod in pods),
        namespace=room.namespace,
    )
    room.wait("--for=condition=Ready", workspace)
    assert world.pools() == pools
    room("delete", workspace, "--timeout=180s")
    assert world.pools() == {}
