"""What Azure answers, in the words it uses, as far as they have been seen in public.

ARM wraps an error as `{"error": {...}}`; AKS answers some of its own bare. Both dialects exist.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from kaito.kube.transport import Response
from kaito.simulator.arm.sizes import Size

NO_CONTENT: Final = Response(status=204)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmError:
    """One error answer, or the outcome of an operation that failed later."""

    code: str
    message: str
    status: int = 400
    bare: bool = False
    """In AKS' own dialect, without the `error` around it."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def detail(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message}

    def response(self) -> Response:
        body = {**self.detail(), "details": None, "subcode": ""}
        return answer(self.status, body if self.bare else {"error": self.detail()}, self.headers)


class Refused(Exception):
    """A handler's way to answer with an error."""

    def __init__(self, error: ArmError) -> None:
        super().__init__(error.message)
        self.error = error


def answer(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(
        status=status,
        headers={"content-type": "application/json; charset=utf-8", **(headers or {})},
        body=msgspec.json.encode(body),
    )


def insufficient_quota(size: Size, remaining: int, region: str) -> ArmError:
    """AKS' own check, before it asks for machines."""
    return ArmError(
        code="ErrCode_InsufficientVCPUQuota",
        message=f"Insufficient vcpu quota requested {size.vcpus}, remaining {remaining} for family"
        f" {size.family} for region {region}. If you want to increase the quota, please follow"
        " this instruction: https://learn.microsoft.com/en-us/azure/quotas/view-quotas. Surge"
        " nodes would also consume vcpu quota, please consider use smaller maxSurge or use"
        " maxUnavailable to proceed upgrade without surge nodes, details:"
        " aka.ms/aks/maxUnavailable.",
        bare=True,
    )


def compute_quota(size: Size, limit: int, usage: int, region: str) -> ArmError:
    """The compute provider's word for it, which comes after the pool was accepted."""
    return ArmError(
        code="OperationNotAllowed",
        status=409,
        message="Operation could not be completed as it results in exceeding approved"
        f" {size.family} Cores quota. Additional details - Deployment Model: Resource Manager,"
        f" Location: {region}, Current Limit: {limit}, Current Usage: {usage}, Additional"
        f" Required: {size.vcpus}, (Minimum) New Limit Required: {usage + size.vcpus}.",
    )


def sku_not_available(vm_size: str, region: str) -> ArmError:
    return ArmError(
        code="SkuNotAvailable",
        status=409,
        message="The requested VM size for resource 'Following SKUs have failed for Capacity"
        f" Restrictions: {vm_size}' is currently not available in location '{region}'. Please try"
        " another size or deploy to a different location or different zone.",
    )


def vm_size_not_supported(vm_size: str, region: str) -> ArmError:
    return ArmError(
        code="VMSizeNotSupported",
        message=f"The VM size of {vm_size} is not allowed in your subscription in location"
        f" '{region}'.",
        bare=True,
    )


def allocation_failed(vm_size: str, region: str) -> ArmError:
    """Told by the compute provider, wrapped by AKS as text."""
    return ArmError(
        code="ReconcileVMSSAgentPoolFailed",
        message='Code="AllocationFailed" Message="Allocation failed. We do not have sufficient'
        f" capacity for the requested VM size {vm_size} in this region ({region}). Read more about"
        ' improving likelihood of allocation success at https://aka.ms/allocation-guidance"',
    )


def operation_in_progress(pool: str, state: str) -> ArmError:
    return ArmError(
        code="OperationNotAllowed",
        status=409,
        message=f"Operation is not allowed: Another agentpool operation ({pool} - {state}) is in"
        " progress, please wait for it to finish before starting a new operation. See"
        " https://aka.ms/aks-pending-operation for more details",
        bare=True,
    )


def cluster_stopped() -> ArmError:
    return ArmError(
        code="OperationNotAllowed",
        status=409,
        message="Managed cluster is in (Stopped) state, agent pool operations are not allowed.",
        bare=True,
    )


def precondition_failed(pool: str) -> ArmError:
    return ArmError(
        code="PreconditionFailed",
        status=412,
        message=f"The condition of the request was not met by agent pool {pool}.",
    )


def too_many_pools(limit: int) -> ArmError:
    return ArmError(
        code="MaxAgentPoolCountReached",
        message=f"The managed cluster already has the maximum of {limit} agent pools.",
        bare=True,
    )


def throttled(seconds: int) -> ArmError:
    return ArmError(
        code="SubscriptionRequestsThrottled",
        status=429,
        message="Number of requests for subscription exceeded the limit. Please try again after"
        f" {seconds} seconds.",
        headers={"retry-after": str(seconds)},
    )


def pool_not_found(*, bare: bool) -> ArmError:
    if bare:
        return ArmError(code="NotFound", status=404, message="Agent Pool not found.", bare=True)
    return ArmError(
        code="ResourceNotFound", status=404, message="The Resource was not found. (agentPools)"
    )


def cluster_not_found(cluster: str, group: str) -> ArmError:
    return ArmError(
        code="ResourceNotFound",
        status=404,
        message=f"The Resource 'Microsoft.ContainerService/managedClusters/{cluster}' under"
        f" resource group '{group}' was not found.",
    )


def group_not_found(group: str) -> ArmError:
    return ArmError(
        code="ResourceGroupNotFound",
        status=404,
        message=f"Resource group '{group}' could not be found.",
    )


def subscription_not_found(subscription: str) -> ArmError:
    return ArmError(
        code="SubscriptionNotFound",
        status=404,
        message=f"The subscription '{subscription}' could not be found.",
    )


def no_token() -> ArmError:
    return ArmError(
        code="AuthenticationFailed",
        status=401,
        message="Authentication failed. The 'Authorization' header is missing.",
        headers={"www-authenticate": 'Bearer error="invalid_token"'},
    )


def not_authorized() -> ArmError:
    return ArmError(
        code="AuthorizationFailed",
        status=403,
        message="The client does not have authorization to perform action"
        " 'Microsoft.ContainerService/managedClusters/agentPools/write' over the scope of the"
        " managed cluster, or the scope is invalid.",
    )


def missing_api_version() -> ArmError:
    return ArmError(
        code="MissingApiVersionParameter",
        message="The api-version query parameter (?api-version=) is required for all requests.",
    )


def unknown_api_version(version: str, known: str) -> ArmError:
    return ArmError(
        code="NoRegisteredProviderFound",
        message=f"No registered resource provider found for API version '{version}' for type"
        f" 'managedClusters/agentPools'. The supported api-versions are '{known}'.",
    )


def invalid_parameter(target: str, why: str) -> ArmError:
    return ArmError(
        code="InvalidParameter",
        message=f"The value of parameter {target} is invalid. {why}",
        bare=True,
    )


def not_served(method: str, path: str) -> ArmError:
    return ArmError(
        code="NotImplemented",
        status=501,
        message=f"The embedded cloud does not serve {method} {path}.",
    )
