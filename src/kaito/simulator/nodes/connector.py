"""What the API server asks of nodes: container logs, and HTTP into the cluster's network."""

from collections.abc import AsyncIterator
from typing import Literal, final

from kaito.apiserver.connectors import LogOptions
from kaito.apiserver.status import Refused, bad_request
from kaito.framework.store import Store
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.transport import Request, Response, Stream
from kaito.simulator import network
from kaito.simulator.network import Network, Target
from kaito.simulator.nodes.logs import Logs, since_of
from kaito.simulator.nodes.timing import WorldTime


@final
class NodeConnector:
    """Both connectors of the embedded API server: its `kubelet` and its `proxy`."""

    def __init__(self, pods: Store, logs: Logs, net: Network, time: WorldTime) -> None:
        self._pods = pods
        self._logs = logs
        self._network = net
        self._time = time

    async def logs(
        self, namespace: str, pod: str, container: str, options: LogOptions
    ) -> AsyncIterator[bytes]:
        """The container's output. Raises Refused with a kubelet's words."""
        record = self._pods.get(ObjectKey(namespace, pod))
        uid = "" if record is None else record.meta.uid
        if not self._logs.has(uid, container, previous=options.previous):
            raise bad_request(_no_logs(record, pod, container, previous=options.previous))
        return self._logs.read(
            uid,
            container,
            follow=options.follow,
            previous=options.previous,
            tail_lines=options.tail_lines,
            since=since_of(self._time.now(), options.since_seconds, options.since_time),
            timestamps=options.timestamps,
        )

    async def request(
        self,
        kind: Literal["services", "pods"],
        namespace: str,
        name: str,
        port: str,
        request: Request,
    ) -> Response | Stream:
        """Carry one request in. Raises Refused (503) when nothing answers there."""
        try:
            target = self._find(kind, namespace, name, port)
        except network.NoSuchPort as error:
            message = f'no service port {port} found for service "{name}"'
            raise Refused(503, "ServiceUnavailable", message) from error
        except (network.Refused, network.NoSuchHost) as error:
            message = f'no endpoints available for service "{name}"'
            raise Refused(503, "ServiceUnavailable", message) from error
        try:
            return await self._network.to_pod(target, request)
        except network.Refused as error:
            where = f"{target.pod.get('status', 'podIP') or ''}:{target.port}"
            why = f"dial tcp {where}: connect: connection refused"
            message = f"error trying to reach service: {why}"
            raise Refused(503, "ServiceUnavailable", message) from error

    def _find(self, kind: str, namespace: str, name: str, port: str) -> Target:
        if kind == "services":
            return self._network.service(namespace, name, port)
        pod = self._pods.get(ObjectKey(namespace, name))
        if pod is None:
            raise network.NoSuchHost(name)
        return Target(pod=pod, port=int(port) if port.isdigit() else _first_port(pod, port))


def _first_port(pod: Record, name: str) -> int:
    """The container port of that name; the first of all when no name is given."""
    for container in pod.get("spec", "containers") or ():
        for port in container.get("ports") or ():
            if not name or port.get("name") == name:
                return int(port["containerPort"])
    return 80


def _no_logs(pod: Record | None, name: str, container: str, *, previous: bool) -> str:
    if previous:
        return f'previous terminated container "{container}" in pod "{name}" not found'
    waiting = _waiting(pod, container) if pod is not None else "ContainerCreating"
    return f'container "{container}" in pod "{name}" is waiting to start: {waiting}'


def _waiting(pod: Record, container: str) -> str:
    status: Json = pod.get("status") or {}
    every = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    for one in every:
        if one["name"] == container and (one.get("state") or {}).get("waiting"):
            return str(one["state"]["waiting"].get("reason") or "ContainerCreating")
    return "ContainerCreating"
