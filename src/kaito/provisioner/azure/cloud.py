"""`Cloud` over AKS agent pools, on the real SDK.

Each call is one ARM request (a refused launch is two), bounded by a deadline, tried again at this
seam alone: the SDK's own retries, redirects and provider registration, which would sleep inside a
call, are left out of its pipeline. Long-running operations are started and left: `polling=False`
returns the first answer, and a later `get` shows how far it came.
"""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast, final

import tenacity
from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline.policies import (
    ContentDecodePolicy,
    CustomHookPolicy,
    HeadersPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.mgmt.containerservice.aio import ContainerServiceClient
from azure.mgmt.containerservice.models import AgentPool
from azure.mgmt.core.policies import AsyncARMChallengeAuthenticationPolicy

from kaito.kube.clock import Clock
from kaito.provisioner.azure import agentpools
from kaito.provisioner.azure.errors import meaning
from kaito.provisioner.cloud import (
    Busy,
    CloudError,
    ClusterNotFound,
    Instance,
    MachineRequest,
    NameTaken,
    NotPermitted,
    State,
    Throttled,
    Unreachable,
    belongs_to,
)

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.pipeline.transport import AsyncHttpTransport
    from azure.core.rest import AsyncHttpResponse

T = TypeVar("T")
_NO_CONTENT: Final = 204


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureOptions:
    """How the seam behaves."""

    deadline: float = 30.0
    """Seconds for one call with all its tries. Azure answers within a few."""
    attempts: int = 3
    """Tries of one call, the first included. What is left after that is the work queue's."""
    longest_wait: float = 5.0
    """Seconds between two tries at most; where Azure asks for more, the caller comes back."""
    user_agent: str = "kaito"
    scope: str = ""
    """Token scope; by default that of the endpoint, which is right for every Azure cloud."""
    proxy_from_environment: bool = True
    """Honour HTTPS_PROXY and NO_PROXY."""


def _unfenced() -> None:
    """Nobody leads."""


@final
class AzureCloud:
    """The agent pools of one managed cluster.

    `fence` is called before every single mutation, tries included, and raises when this process
    may no longer change anything.
    """

    def __init__(
        self,
        *,
        subscription: str,
        resource_group: str,
        cluster: str,
        credential: "AsyncTokenCredential",
        clock: Clock,
        random: random.Random,
        endpoint: str = "https://management.azure.com",
        transport: "AsyncHttpTransport[Any, Any] | None" = None,
        ca_file: str = "",
        fence: Callable[[], None] = _unfenced,
        options: AzureOptions | None = None,
    ) -> None:
        self._options = options or AzureOptions()
        self._where = (resource_group, cluster)
        self._clock = clock
        self._random = random
        self._fence = fence
        scope = self._options.scope or f"{endpoint.rstrip('/')}/.default"
        self._client = ContainerServiceClient(
            credential,
            subscription,
            endpoint.rstrip("/"),
            credential_scopes=[scope],
            transport=transport or self._https(ca_file),
            policies=[
                HeadersPolicy(),
                UserAgentPolicy(base_user_agent=self._options.user_agent),
                ContentDecodePolicy(),
                CustomHookPolicy(),
                AsyncARMChallengeAuthenticationPolicy(credential, scope),
            ],
        )

    def _https(self, ca_file: str) -> "AsyncHttpTransport[Any, Any]":
        transport: AsyncHttpTransport[Any, Any] = AioHttpTransport(
            connection_verify=ca_file or True,
            connection_timeout=self._options.deadline,
            read_timeout=self._options.deadline,
            use_env_settings=self._options.proxy_from_environment,
        )
        return transport

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Release connections."""
        await self._client.close()

    @property
    def node_label(self) -> str:
        return agentpools.NODE_LABEL

    async def _pages(self) -> list[Instance]:
        """All pages; an error in one is an error of the whole."""
        pools = self._client.agent_pools.list(*self._where, headers=self._headers())
        return [agentpools.instance(pool.as_dict()) async for pool in pools]

    async def launch(self, request: MachineRequest) -> Instance:
        pool = agentpools.body(request)
        try:
            return await self._call(lambda: self._put(request.name, pool), mutates=True)
        except Busy as refusal:
            # Either a pool of this name exists (412), or an operation is in progress (409),
            # perhaps our own of a moment ago whose answer was lost. The pool itself tells.
            found = await self.get(request.name)
            if found is None:
                raise
            if belongs_to(found, request.owner_uid, request.created_at):
                return found
            raise NameTaken(
                f"node pool {request.name} exists and was not made for this NodeClaim"
            ) from refusal

    async def get(self, name: str) -> Instance | None:
        try:
            return await self._call(lambda: self._get(name))
        except ClusterNotFound:
            return None

    async def list(self) -> list[Instance]:
        return await self._call(self._pages)

    async def terminate(self, instance: Instance) -> Instance | None:
        if instance.state is State.DELETING:
            return instance
        try:
            gone = await self._call(lambda: self._delete(instance), mutates=True)
        except ClusterNotFound:
            return None
        return None if gone else replace(instance, state=State.DELETING, failure=None)

    async def _put(self, name: str, pool: dict[str, Any]) -> Instance:
        poller = await self._client.agent_pools.begin_create_or_update(
            *self._where,
            name,
            AgentPool(pool),
            match_condition=MatchConditions.IfMissing,
            polling=False,
            headers=self._headers(),
        )
        return agentpools.instance((await poller.result()).as_dict())

    async def _get(self, name: str) -> Instance:
        pool = await self._client.agent_pools.get(*self._where, name, headers=self._headers())
        return agentpools.instance(pool.as_dict())

    async def _delete(self, instance: Instance) -> bool:
        """Whether it was gone already. Pods were evicted before, so AKS need not wait for them."""
        guard: dict[str, Any] = (
            {"etag": instance.etag, "match_condition": MatchConditions.IfNotModified}
            if instance.etag
            else {}
        )
        statuses: list[int] = []
        poller = await self._client.agent_pools.begin_delete(
            *self._where,
            instance.name,
            ignore_pod_disruption_budget=True,
            polling=False,
            headers=self._headers(),
            raw_response_hook=lambda answer: statuses.append(answer.http_response.status_code),
            **guard,
        )
        await poller.result()
        return statuses[-1:] == [_NO_CONTENT]

    def _headers(self) -> dict[str, str]:
        """Azure's support finds a request by this id."""
        number = uuid.UUID(int=self._random.getrandbits(128), version=4)
        return {"x-ms-client-request-id": str(number)}

    async def _call(self, send: Callable[[], Awaitable[T]], *, mutates: bool = False) -> T:
        tries = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self._options.attempts),
            retry=tenacity.retry_if_exception(self._soon_again),
            wait=self._wait,
            sleep=self._clock.sleep,
            reraise=True,
        )
        try:
            async with asyncio.timeout(self._options.deadline):
                return await tries(self._once, send, mutates)
        except TimeoutError as late:
            raise Unreachable(f"Azure gave no answer within {self._options.deadline:g} s") from late

    async def _once(self, send: Callable[[], Awaitable[T]], mutates: bool) -> T:
        if mutates:
            self._fence()
        try:
            return await send()
        except AzureError as error:
            raise _translated(error) from error

    def _soon_again(self, error: BaseException) -> bool:
        if not isinstance(error, Throttled | Unreachable):
            return False
        return (error.retry_after or 0.0) <= self._options.longest_wait

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        told = error.retry_after if isinstance(error, CloudError) else None
        if told is not None:
            return told
        longest = min(self._options.longest_wait, 0.5 * 2.0**state.attempt_number)
        return self._random.uniform(0.5, 1.0) * longest


def _translated(error: AzureError) -> CloudError:
    if isinstance(error, HttpResponseError) and error.response is not None:
        answer = cast("AsyncHttpResponse", error.response)
        return meaning(answer.status_code, _arm_error(answer), _retry_after(answer))
    if isinstance(error, ClientAuthenticationError):
        return NotPermitted(f"no token for Azure: {error.message}")
    return Unreachable(f"no answer from Azure: {error.message}")


def _arm_error(answer: "AsyncHttpResponse") -> dict[str, Any]:
    """The `error` object of the answer; AKS also answers with it bare."""
    try:
        told = answer.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        return {"message": f"Azure answered {answer.status_code} {answer.reason}".strip()}
    inner = told.get("error")
    return inner if isinstance(inner, dict) else told


def _retry_after(answer: "AsyncHttpResponse") -> float | None:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else None
