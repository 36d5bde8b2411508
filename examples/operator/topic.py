"""`kind: Topic`: a topic of a message broker that is not in the cluster.

What page.py has no need of: a finalizer around something outside, a secondary watch through an
index, errors that no retry mends, a look now and then, a second version, and webhooks.
"""

from collections.abc import Iterable
from typing import Annotated, Protocol

from prometheus_client import Counter
from pydantic import BaseModel, Field

from kaito.framework import kit
from kaito.framework.predicates import generation_changed
from kaito.framework.webhooks.admission import AdmissionRequest, Allowed, Denied, Mutated
from kaito.framework.webhooks.certified import certified_server
from kaito.framework.webhooks.conversion import Conversions, HubAndSpokes, Spoke
from kaito.framework.webhooks.rotation import RotationOptions
from kaito.framework.webhooks.secret import Configurations
from kaito.framework.webhooks.server import WebhookServer
from kaito.kube.resources import CONFIGMAPS

TOPICS = kit.Resource("example.com", "v1", "topics", "Topic")
FINALIZER = "example.com/topic"
SERVICE = {"namespace": "topics", "name": "topic-operator"}


class Spec(BaseModel):
    broker: Annotated[str, kit.Column("Broker")]
    """A ConfigMap of the namespace, labelled `example.com/broker`."""
    partitions: Annotated[int, Field(ge=1), kit.Column("Partitions")] = 1


class Status(BaseModel):
    conditions: Annotated[kit.Conditions | None, kit.Column("Ready", condition="Ready")] = None


class Topic(BaseModel):
    spec: Spec
    status: Status | None = None


class AlphaSpec(BaseModel):
    broker: str
    shards: Annotated[int, Field(ge=1)] = 1


class AlphaTopic(BaseModel):
    spec: AlphaSpec
    status: Status | None = None


CRD = kit.definition(
    TOPICS,
    Topic,
    older={"v1alpha1": AlphaTopic},
    conversion={"service": {**SERVICE, "path": "/convert"}},
)


class Refused(Exception):
    """The broker does not want such a topic, however often it is asked."""


class Broker(Protocol):
    """The world outside. Both may be asked again and again."""

    async def keep(self, address: str, topic: str, partitions: int) -> None:
        """Raises Refused."""
        ...

    async def remove(self, address: str, topic: str) -> None: ...


class Reconciler:
    def __init__(self, manager: kit.Manager, broker: Broker) -> None:
        self.client, self.broker = manager.client, broker
        self.recorder = manager.recorder("topic")
        self.removed = Counter("topics_removed", "Topics removed", registry=manager.registry)

    async def reconcile(self, key: kit.ObjectKey) -> kit.Result:
        topic = self.client.store(TOPICS).get(key)
        if topic is None:
            return kit.Done()
        spec = Spec.model_validate(topic.get("spec"))
        broker = self.client.store(CONFIGMAPS).get(kit.ObjectKey(key.namespace, spec.broker))
        if broker is None:
            await self.report(topic, False, "NoBroker", f"there is no ConfigMap {spec.broker}")
            return kit.Done()  # its coming brings the next run
        address = broker.get("data", "address") or ""
        if topic.meta.deleting:
            return await self.remove(topic, address)
        if patch := kit.add_finalizer(topic, FINALIZER):  # before there is anything to remove
            topic = await self.client.merge_patch(TOPICS, key, patch)
        try:
            await self.broker.keep(address, str(key), spec.partitions)
        except Refused as error:
            await self.report(topic, False, "Refused", str(error))
            raise kit.Terminal(str(error)) from error
        await self.report(topic, True, "Kept", f"{spec.partitions} partitions")
        return kit.Again(3600, priority=kit.LOW_PRIORITY)  # a broker tells nobody what it lost

    async def remove(self, topic: kit.Record, address: str) -> kit.Result:
        if patch := kit.remove_finalizer(topic, FINALIZER):
            await self.broker.remove(address, str(topic.key))
            await self.client.merge_patch(TOPICS, topic.key, patch)
            self.removed.inc()
            kit.annotate(removed_from=address)
        return kit.Done()

    async def report(self, topic: kit.Record, holds: bool, reason: str, message: str) -> None:
        ready = kit.condition("Ready", holds, reason, message)
        if await kit.report(self.client, TOPICS, topic, {}, conditions=[ready]) and not holds:
            self.recorder.event(
                topic, type="Warning", reason=reason, message=message, action="Keep"
            )


def broker_of(topic: kit.Record) -> Iterable[str]:
    yield f"{topic.meta.namespace}/{topic.get('spec', 'broker')}"


def controller(manager: kit.Manager, broker: Broker) -> kit.Controller:
    def topics_of(config_map: kit.Record) -> Iterable[kit.ObjectKey]:
        found = manager.client.store(TOPICS).by_index("broker", str(config_map.key))
        return [topic.key for topic in found]

    sources = [
        kit.for_object(TOPICS, predicate=generation_changed, indexes={"broker": broker_of}),
        kit.mapped(CONFIGMAPS, topics_of, label_selector="example.com/broker"),
    ]
    options = kit.ControllerOptions(concurrency=10, reconcile_timeout=60)
    return kit.Controller("topic", Reconciler(manager, broker), sources, options)


def grows(request: AdmissionRequest) -> Allowed | Denied:
    """Validating, asked about v1 whatever was written."""
    old, new = request.old_object, request.object
    if old and new and new["spec"]["partitions"] < old["spec"]["partitions"]:
        return Denied("spec.partitions: a topic only grows", reason="Invalid", code=422)
    return Allowed()


def named(request: AdmissionRequest) -> Allowed | Mutated:
    """Mutating: its broker is a label, so that `kubectl get -l` finds it."""
    if request.object is None:
        return Allowed()
    labels = request.object["metadata"].setdefault("labels", {})
    labels["example.com/broker"] = request.object["spec"]["broker"]
    return Mutated(object=request.object)


def to_v1(topic: kit.Json) -> kit.Json:
    topic["spec"]["partitions"] = topic["spec"].pop("shards")
    return topic


def to_alpha(topic: kit.Json) -> kit.Json:
    topic["spec"]["shards"] = topic["spec"].pop("partitions")
    return topic


def register(server: WebhookServer) -> None:
    server.validate("/validate", grows)
    server.mutate("/mutate", named)
    spokes = {"v1alpha1": Spoke(to_hub=to_v1, from_hub=to_alpha)}
    topics = HubAndSpokes(group="example.com", kind="Topic", hub="v1", spokes=spokes)
    server.convert("/convert", Conversions(topics))


def configuration(path: str) -> kit.Json:
    """Of the webhook behind `path`; the operator itself fills in whom to trust."""
    rule = {
        "apiGroups": ["example.com"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["topics"],
    }
    webhook = {
        "name": "topics.example.com",
        "rules": [rule],
        "clientConfig": {"service": {**SERVICE, "path": path}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return {"metadata": {"name": "topics.example.com"}, "webhooks": [webhook]}


def serve_webhooks(manager: kit.Manager) -> None:
    server = certified_server(
        manager,
        kit.ObjectKey("topics", "topic-operator-certificates"),
        Configurations(
            validating=("topics.example.com",),
            mutating=("topics.example.com",),
            definitions=(TOPICS.group_resource,),
        ),
        RotationOptions(hosts=("topic-operator.topics.svc",)),
    )
    register(server)
