"""The endpoint: a request becomes an answer. `https` and `sdk` are its two doors."""

import random
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, final
from urllib.parse import unquote

import msgspec

from kaito.kube.clock import Clock
from kaito.kube.objects import Json
from kaito.kube.transport import Request, Response
from kaito.simulator.arm import answers
from kaito.simulator.arm.answers import Refused, answer
from kaito.simulator.arm.faults import ConnectionLost, Fault, Faults
from kaito.simulator.arm.machines import Machine
from kaito.simulator.arm.meter import Meter
from kaito.simulator.arm.pools import CREATED_BY, AgentPools, ArmOptions, Pool, image_version
from kaito.simulator.arm.sizes import size_of

API_VERSIONS: Final = ("2024-09-01", "2025-05-01", "2026-08-01")
"""Of Microsoft.ContainerService, those whose agent pools know etags and that are spoken here."""

_CLUSTER: Final = (
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.ContainerService/managedClusters/(?P<cluster>[^/]+)"
)
_OPERATION: Final = (
    r"/subscriptions/(?P<subscription>[^/]+)/providers/Microsoft\.ContainerService"
    r"/locations/[^/]+/operations/(?P<operation>[^/]+)"
)
_MOST_REQUESTS: Final = 10_000
_POOL_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,11}")

Handler = Callable[[Request, Mapping[str, str], Fault | None], Response]


@final
class ArmEndpoint:
    """One subscription with one managed cluster, in memory.

    `machines` makes it a `MachineSource`. What it holds is the world: it lives as long as the
    object does, whatever happens to its clients.
    """

    def __init__(
        self, *, clock: Clock, random: random.Random, options: ArmOptions | None = None
    ) -> None:
        self.options = options or ArmOptions()
        self.faults = Faults()
        self.requests: list[tuple[str, str, int]] = []
        """(method, path, status) of every request that arrived, of the latest thousands; status 0:
        no answer got out."""
        self._clock = clock
        self._pools = AgentPools(self.options, clock=clock, random=random)
        self._routes: tuple[tuple[str, re.Pattern[str], Handler], ...] = tuple(
            (method, re.compile(path + "/?", re.IGNORECASE), handler)
            for method, path, handler in (
                ("GET", f"{_CLUSTER}/agentPools/(?P<pool>[^/]+)", self._get),
                ("PUT", f"{_CLUSTER}/agentPools/(?P<pool>[^/]+)", self._put),
                ("DELETE", f"{_CLUSTER}/agentPools/(?P<pool>[^/]+)", self._delete),
                ("GET", f"{_CLUSTER}/agentPools", self._list),
                ("GET", _CLUSTER, self._managed_cluster),
                ("GET", _OPERATION, self._operation),
            )
        )

    # What the simulation is asked and told

    @property
    def meter(self) -> Meter:
        self._pools.timeline.settle()
        return self._pools.meter

    def current(self) -> tuple[Machine, ...]:
        """The machines that are switched on (`MachineSource`)."""
        self._pools.timeline.settle()
        return self._pools.machines()

    async def changed(self, seen: tuple[Machine, ...]) -> tuple[Machine, ...]:
        """Wait until the machines differ from `seen` (`MachineSource`)."""
        while (machines := self.current()) == seen:
            await self._pools.timeline.wait()
        return machines

    def states(self) -> dict[str, str]:
        """provisioningState by pool name."""
        self._pools.timeline.settle()
        return {name: pool.state for name, pool in sorted(self._pools.pools.items())}

    def set_quota(self, size_or_family: str, vcpus: int | None) -> None:
        """Limit the vCPUs of a family, named itself or by one of its sizes; None: no limit."""
        size = size_of(size_or_family)
        family = size.family if size else size_or_family
        if vcpus is None:
            self._pools.quotas.pop(family, None)
        else:
            self._pools.quotas[family] = vcpus

    def stop_cluster(self) -> None:
        """`az aks stop`."""
        self._pools.timeline.settle()
        self._pools.stop()

    def start_cluster(self) -> None:
        """`az aks start`."""
        self._pools.timeline.settle()
        self._pools.start()

    def add_pool(self, name: str, vm_size: str = "Standard_D4s_v3", **properties: Any) -> None:
        """A pool that somebody else made; the meter does not count it as created."""
        self._pools.timeline.settle()
        self._pools.create(name, {"vmSize": vm_size, **properties}, None)
        self._pools.meter.pools_created -= 1

    def remove_pool(self, name: str) -> None:
        """Somebody deletes a pool in the portal."""
        self._pools.timeline.settle()
        self._pools.delete(self._pools.pools[name])

    # The protocol

    async def handle(self, request: Request) -> Response:
        """Answer one request. Raises `ConnectionLost` where a fault says so."""
        self._pools.timeline.settle()
        fault: Fault | None = None
        try:
            handler, names = self._route(request)
            fault = self._fault(request, names)
            if fault and fault.delay:
                await self._clock.sleep(fault.delay)
                self._pools.timeline.settle()
            if fault and fault.lose == "request":
                raise ConnectionLost(arrived=False)
            if fault and fault.refusal:
                raise Refused(fault.refusal)
            response = handler(request, names, fault)
        except Refused as refused:
            response = refused.error.response()
        lost = fault is not None and fault.lose == "answer"
        if len(self.requests) >= _MOST_REQUESTS:
            del self.requests[: _MOST_REQUESTS // 2]
        self.requests.append((request.method, request.path, 0 if lost else response.status))
        if lost:
            raise ConnectionLost(arrived=True)
        return response

    def _fault(self, request: Request, names: Mapping[str, str]) -> Fault | None:
        vm_size = ""
        if request.method == "PUT":
            vm_size = str(_properties(request).get("vmSize", ""))
        elif pool := self._pools.pools.get(names.get("pool", "")):
            vm_size = pool.vm_size
        return self.faults.meet(request.method, names.get("pool", ""), vm_size)

    def _route(self, request: Request) -> tuple[Handler, Mapping[str, str]]:
        if not request.headers.get("authorization", "").startswith("Bearer "):
            raise Refused(answers.no_token())
        version = request.param("api-version")
        if not version:
            raise Refused(answers.missing_api_version())
        if version not in API_VERSIONS:
            raise Refused(answers.unknown_api_version(version, ", ".join(API_VERSIONS)))
        for method, pattern, handler in self._routes:
            found = pattern.fullmatch(unquote(request.path))
            if method == request.method and found:
                self._check_scope(found.groupdict())
                return handler, found.groupdict()
        raise Refused(answers.not_served(request.method, request.path))

    def _check_scope(self, names: Mapping[str, str]) -> None:
        options = self.options
        if names["subscription"].lower() != options.subscription.lower():
            raise Refused(answers.subscription_not_found(names["subscription"]))
        group = names.get("group")
        if group is not None and group.lower() != options.resource_group.lower():
            raise Refused(answers.group_not_found(group))
        cluster = names.get("cluster")
        if cluster is not None and cluster.lower() != options.cluster.lower():
            raise Refused(answers.cluster_not_found(cluster, group or ""))

    def _get(self, _request: Request, names: Mapping[str, str], _fault: Fault | None) -> Response:
        pool = self._pools.pools.get(names["pool"])
        if pool is None:
            raise Refused(answers.pool_not_found(bare=self.options.bare_not_found))
        return answer(200, self._body(pool), {"etag": f'"{pool.etag}"'})

    def _list(self, request: Request, _names: Mapping[str, str], _fault: Fault | None) -> Response:
        names = sorted(self._pools.pools)
        start = int(request.param("$skipToken", "0"))
        end = start + self.options.page_size
        body: Json = {"value": [self._body(self._pools.pools[name]) for name in names[start:end]]}
        if end < len(names):
            version = request.param("api-version")
            body["nextLink"] = (
                f"{_origin(request)}{request.path}?api-version={version}&$skipToken={end}"
            )
        return answer(200, body)

    def _put(self, request: Request, names: Mapping[str, str], fault: Fault | None) -> Response:
        name, properties = names["pool"], _properties(request)
        if not _POOL_NAME.fullmatch(name):
            raise Refused(
                answers.invalid_parameter(
                    "agentPoolName", "A name is 1 to 12 lower-case letters and digits."
                )
            )
        self._refuse_when_stopped()
        pool = self._pools.pools.get(name)
        if pool is None:
            pool = self._pools.create(name, properties, fault)
            return self._started(request, pool, 201)
        if request.headers.get("if-none-match") == "*":
            raise Refused(answers.precondition_failed(name))
        self._check_etag(request, pool)
        if pool.state in {"Creating", "Deleting"}:
            raise Refused(answers.operation_in_progress(name, pool.state))
        self._pools.update(pool, properties)
        return self._started(request, pool, 200)

    def _delete(self, request: Request, names: Mapping[str, str], _fault: Fault | None) -> Response:
        self._refuse_when_stopped()
        pool = self._pools.pools.get(names["pool"])
        if pool is None:
            return answers.NO_CONTENT
        self._check_etag(request, pool)
        if pool.state == "Creating" and not self.options.delete_while_creating:
            raise Refused(answers.operation_in_progress(pool.name, pool.state))
        if pool.state != "Deleting":
            self._pools.delete(pool)
        return Response(status=202, headers=self._operation_headers(request, pool))

    def _managed_cluster(
        self, _request: Request, _names: Mapping[str, str], _fault: Fault | None
    ) -> Response:
        options = self.options
        body = {
            "id": self._id(),
            "name": options.cluster,
            "type": "Microsoft.ContainerService/ManagedClusters",
            "location": options.region,
            "properties": {
                "provisioningState": "Succeeded",
                "powerState": {"code": "Stopped" if self._pools.stopped else "Running"},
                "nodeResourceGroup": self._pools.node_resource_group,
                "maxAgentPools": options.max_pools,
            },
            "systemData": {"createdBy": CREATED_BY},
        }
        return answer(200, body)

    def _operation(
        self, _request: Request, names: Mapping[str, str], _fault: Fault | None
    ) -> Response:
        operation = self._pools.operations.get(names["operation"])
        if operation is None:
            raise Refused(answers.pool_not_found(bare=False))
        return answer(200, operation.body())

    def _refuse_when_stopped(self) -> None:
        if self._pools.stopped:
            raise Refused(answers.cluster_stopped())

    def _check_etag(self, request: Request, pool: Pool) -> None:
        wanted = request.headers.get("if-match", "*")
        if wanted not in {"*", pool.etag, f'"{pool.etag}"'}:
            raise Refused(answers.precondition_failed(pool.name))

    def _started(self, request: Request, pool: Pool, status: int) -> Response:
        headers = {**self._operation_headers(request, pool), "etag": f'"{pool.etag}"'}
        return answer(status, self._body(pool), headers)

    def _operation_headers(self, request: Request, pool: Pool) -> dict[str, str]:
        options = self.options
        status = (
            f"{_origin(request)}/subscriptions/{options.subscription}/providers"
            f"/Microsoft.ContainerService/locations/{options.region}/operations"
            f"/{pool.operation.id}?api-version={request.param('api-version')}"
        )
        return {"azure-asyncoperation": status, "location": status, "retry-after": "15"}

    def _id(self) -> str:
        options = self.options
        return (
            f"/subscriptions/{options.subscription}/resourcegroups/{options.resource_group}"
            f"/providers/Microsoft.ContainerService/managedClusters/{options.cluster}"
        )

    def _body(self, pool: Pool) -> Json:
        properties: Json = {
            "orchestratorVersion": "1.36",
            "osDiskSizeGB": 128,
            **pool.properties,
            "eTag": pool.etag,
            "nodeImageVersion": image_version(pool.properties),
            "powerState": {"code": pool.power},
            "provisioningState": pool.state,
        }
        if pool.error is not None:
            properties["status"] = {"provisioningError": pool.error.detail()}
        return {
            "id": f"{self._id()}/agentPools/{pool.name}",
            "name": pool.name,
            "type": "Microsoft.ContainerService/managedClusters/agentPools",
            "properties": properties,
            "systemData": {"createdBy": CREATED_BY},
        }


def _origin(request: Request) -> str:
    return f"https://{request.headers.get('host', 'management.azure.com')}"


def _properties(request: Request) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(request.body)
    except msgspec.DecodeError as error:
        raise Refused(
            answers.ArmError(
                code="InvalidRequestContent",
                message=f"The request content was invalid and could not be deserialized: {error}",
            )
        ) from error
    properties = body.get("properties") if isinstance(body, dict) else None
    return properties if isinstance(properties, dict) else {}
