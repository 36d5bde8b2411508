"""The three acts, and what proves them."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Final

import aiohttp

from kaito.api.resources import NODECLAIMS, WORKSPACES
from kaito.apiserver.server import RequestInfo
from kaito.cli.demo import files
from kaito.cli.demo.theatre import NAMESPACE, Theatre
from kaito.cli.failure import Failure
from kaito.kube.objects import Json, ObjectKey
from kaito.kube.resources import PODS, SECRETS, SERVICES
from kaito.kube.transport import Request
from kaito.simulator.loopback import LoopbackDoor

SEED: Final = "workspace-tuning-phi-3"
INFERENCE: Final = "workspace-phi-4-mini"
THIRD: Final = files.THIRD
SIZE: Final = "Standard_NC24ads_A100_v4"
QUESTION: Final = "YOUR QUESTION HERE"


async def the_seed(theatre: Theatre) -> None:
    """The file as printed is refused before it costs anything; filled in it runs to its end."""
    display = theatre.display
    display.title("Act 1", "The seed: fine-tune a model, and talk to the result")
    display.command(f"kubectl apply -f {files.SEED}")
    await theatre.apply(files.SEED, files.text(files.SEED))
    await theatre.until(
        "the refusal of the file as printed", lambda: theatre.stalled(SEED) is not None
    )
    refused = theatre.stalled(SEED)
    if refused is not None:
        display.say(f"Ready=False, Stalled=True, {refused.reason}: {refused.message}")
    claims = (await theatre.cluster.client().list(NODECLAIMS)).items
    if claims:
        raise Failure("a machine was asked for before the file could work")
    display.say("NodeClaims made: 0. Nothing is paid for until the file can work.")
    await _fill_in(theatre)
    display.command(f"kubectl get svc {SEED}")
    await theatre.get(SERVICES, SEED)
    await _ask_as_the_seed_does(theatre)


async def _fill_in(theatre: Theatre) -> None:
    display = theatre.display
    display.say()
    display.say("The two lines, replaced:")
    for changed in files.diff():
        display.say(changed, style="green" if changed[:1] == "+" else "red")
    display.command(
        f"kubectl create secret docker-registry {files.SECRET} --docker-server={files.REGISTRY} …"
    )
    await theatre.cluster.client().create(SECRETS, _registry_secret())
    display.say(f"secret/{files.SECRET} created")
    display.command(f"kubectl apply -f {files.SEED}")
    journey = theatre.begin(SEED, tuning=True)
    await theatre.apply(files.SEED, files.filled_in())
    async with display.showing(journey):
        await theatre.until_ready(SEED)
    await theatre.get_workspace(SEED)


def _registry_secret() -> Json:
    login = {"auths": {files.REGISTRY: {"username": "demo", "password": "demo"}}}
    return {
        "metadata": {"name": files.SECRET, "namespace": NAMESPACE},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json.dumps(login)},
    }


async def _ask_as_the_seed_does(theatre: Theatre) -> None:
    """A pod with curl in the cluster; its log is the answer."""
    client, key = theatre.cluster.client(), ObjectKey(NAMESPACE, "curl")
    service = await client.get(SERVICES, ObjectKey(NAMESPACE, SEED))
    address = service.get("spec", "clusterIP")
    theatre.display.command(
        "kubectl run -it --rm --restart=Never curl --image=curlimages/curl -- curl -X POST "
        f'http://{address}/chat -H "Content-Type: application/json" '
        f"-d '{json.dumps({'prompt': QUESTION})}'"
    )
    arguments = ["curl", "-sS", "-X", "POST", f"http://{address}/chat"]
    arguments += ["-H", "accept: application/json", "-H", "Content-Type: application/json"]
    arguments += ["-d", json.dumps({"prompt": QUESTION})]
    container = {"name": "curl", "image": "curlimages/curl", "args": arguments}
    pod = {
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    await client.create(PODS, pod)
    theatre.display.say(await _output(theatre, key))
    await client.delete(PODS, key, grace_seconds=0)


async def _output(theatre: Theatre, key: ObjectKey) -> str:
    client = theatre.cluster.client()
    async with asyncio.timeout(30):
        while (pod := await client.get(PODS, key)).get("status", "phase") not in _ENDED:
            await theatre.cluster.clock.sleep(0.02)
    answer = await client.raw(Request(method="GET", path=PODS.path(*key, subresource="log")))
    if pod.get("status", "phase") != "Succeeded":
        raise Failure(f"curl failed: {answer.body.decode()}")
    return answer.body.decode().strip()


_ENDED: Final = ("Succeeded", "Failed")


async def out_of_quota(theatre: Theatre) -> None:
    """The cloud refuses; the Workspace says why and what to do; then it goes on by itself."""
    display, arm = theatre.display, theatre.cluster.cluster.arm
    display.title("Act 2", "Out of quota: the cause, the cure, and on it goes")
    arm.set_quota(SIZE, 0)
    display.command(f"kubectl apply -f {files.INFERENCE}")
    journey = theatre.begin(INFERENCE)
    await theatre.apply(files.INFERENCE, files.text(files.INFERENCE))
    async with display.showing(journey):
        await theatre.until(
            "the refusal of the cloud", lambda: journey.trouble.startswith("QuotaExceeded")
        )
        await display.pause()
        display.keep(journey.trouble)
        arm.set_quota(SIZE, 96)
        display.say("(the quota is raised to 96 vCPUs; nobody touches the Workspace)")
        await theatre.until_ready(INFERENCE)
    await theatre.get_workspace(INFERENCE)
    await _complete(theatre)


async def _complete(theatre: Theatre) -> None:
    """Ask from outside the cluster, as OpenAI clients do."""
    network = theatre.cluster.cluster.nodes.network
    body = {
        "model": "phi-4-mini-instruct",
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": 32,
    }
    async with AsyncExitStack() as stack:
        door = LoopbackDoor(network, ObjectKey(NAMESPACE, INFERENCE))
        await stack.enter_async_context(door)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        theatre.display.command(
            f"curl {door.url}/v1/chat/completions -H 'Content-Type: application/json' "
            f"-d '{json.dumps(body)}'"
        )
        answer = await session.post(f"{door.url}/v1/chat/completions", json=body)
        told = await answer.json()
    if answer.status != 200:
        raise Failure(f"the model answered {answer.status}: {told}")
    theatre.display.say(told["choices"][0]["message"]["content"])


async def crash(theatre: Theatre) -> None:
    """The operator dies at the worst moment: the claim is written, the pool not yet asked for."""
    display, operator = theatre.display, theatre.operator
    display.title("Act 3", "Crash: the operator is killed between claim and pool")
    display.command(f"sed s/{INFERENCE}/{THIRD}/ {files.INFERENCE} | kubectl apply -f -")
    journey = theatre.begin(THIRD)
    killed: list[str] = []

    def kill(request: RequestInfo) -> None:
        # The answer to the create has not left yet: nothing that follows from it can have begun.
        if (request.verb, request.resource, request.code) == ("create", "nodeclaims", 201):
            operator.kill()
            killed.append("now")

    theatre.heard.append(kill)
    pid = operator.pid
    await theatre.apply("-", files.third())
    async with display.showing(journey):
        await theatre.until("the third claim", lambda: bool(killed and _claims(theatre, THIRD)))
        theatre.heard.remove(kill)
        await operator.ended()
        (claim,) = _claims(theatre, THIRD)
        if claim in theatre.ledger.pools():
            raise Failure("the pool was there before the operator could be killed")
        display.say(
            f"(operator, pid {pid}: SIGKILL. NodeClaim {claim} is written, agent pool {claim} "
            "was never asked for)"
        )
        await operator.start()
        display.say(f"(operator started again, pid {operator.pid})")
        await theatre.until_ready(THIRD)
    await theatre.get_workspace(THIRD)
    if _claims(theatre, THIRD) != [claim]:
        raise Failure(f"a second machine was asked for: {_claims(theatre, THIRD)}")


def _claims(theatre: Theatre, name: str) -> list[str]:
    found = theatre.follower.sight(ObjectKey(NAMESPACE, name))
    return [record.meta.name for record in found.claims] if found is not None else []


_WATCHED: Final = 300.0
"""Seconds of the world's clock in which a converged operator writes nothing."""


async def closing(theatre: Theatre) -> None:
    """The books, and after `kubectl delete` the empty house."""
    display, ledger, client = theatre.display, theatre.ledger, theatre.cluster.client()
    display.title("The books", f"after {_WATCHED / 60:g} simulated minutes more")
    await theatre.cluster.world.sleep(_WATCHED)
    ledger.close()
    claims, pools, late = ledger.claims_made, ledger.pools_made, len(ledger.late)
    display.say(f"claims made {claims}, pools ever created {pools}, writes after Ready {late}")
    if claims != pools or ledger.late:
        raise Failure(f"claims and pools must be equal, writes after Ready none: {ledger.late}")
    display.command("kubectl delete workspace --all")
    names = [record.key for record in (await client.list(WORKSPACES)).items]
    for key in names:
        await client.delete(WORKSPACES, key)
    await theatre.until("the end of the Workspaces", lambda: not _left(theatre, names))
    await _until_empty(theatre)
    gpu, node = ledger.hours()
    display.say(f"would have been paid: {gpu:.2f} GPU-hours on {node:.2f} node-hours")
    display.say(f"pools left {len(ledger.pools())}, nodes left {len(await ledger.nodes())}")


def _left(theatre: Theatre, names: list[ObjectKey]) -> list[ObjectKey]:
    return [key for key in names if theatre.follower.sight(key) is not None]


async def _until_empty(theatre: Theatre) -> None:
    try:
        async with asyncio.timeout(30):
            while theatre.ledger.pools() or await theatre.ledger.nodes():
                await theatre.cluster.clock.sleep(0.02)
    except TimeoutError:
        raise Failure(f"pools left: {theatre.ledger.pools()}") from None


ACTS: Final = {1: the_seed, 2: out_of_quota, 3: crash}
