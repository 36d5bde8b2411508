"""Azure's errors by meaning; the only place that knows Azure's codes.

An ARM error is `{code, message, details: [...]}`, at any depth, and AKS wraps the errors of the
compute provider as text (`Code="SkuNotAvailable" Message="..."`). The innermost known code
decides, then the HTTP status. One code says two things: `OperationNotAllowed` is both an
operation in progress and a compute quota; only there the text has to tell.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kaito.provisioner.cloud import (
    AllocationFailed,
    Busy,
    CloudError,
    ClusterNotFound,
    InvalidRequest,
    LaunchFailed,
    NodePoolLimitReached,
    NotPermitted,
    QuotaExceeded,
    SkuUnavailable,
    Throttled,
    Unreachable,
)

_QUOTA: Final = frozenset({"QuotaExceeded", "InsufficientVCPUQuota"})
_BY_CODE: Final[Mapping[str, type[CloudError]]] = {
    "SkuNotAvailable": SkuUnavailable,
    "VMSizeNotSupported": SkuUnavailable,
    "InvalidVMSize": SkuUnavailable,
    "AllocationFailed": AllocationFailed,
    "ZonalAllocationFailed": AllocationFailed,
    "OverconstrainedAllocationRequest": AllocationFailed,
    "OverconstrainedZonalAllocationRequest": AllocationFailed,
    "AKSCapacityError": AllocationFailed,
    "AKSCapacityHeavyUsage": AllocationFailed,
    "MaxAgentPoolCountReached": NodePoolLimitReached,
    "TooManyAgentPools": NodePoolLimitReached,
    "AuthorizationFailed": NotPermitted,
    "LinkedAuthorizationFailed": NotPermitted,
    "RequestDisallowedByPolicy": NotPermitted,
    "ReadOnlyDisabledSubscription": NotPermitted,
    "ScopeLocked": NotPermitted,
    "ResourceGroupNotFound": ClusterNotFound,
    "ParentResourceNotFound": ClusterNotFound,
    "SubscriptionNotFound": ClusterNotFound,
    "EtagMismatch": Busy,
    "AnotherOperationInProgress": Busy,
    "OperationPreempted": Busy,
    "SubscriptionRequestsThrottled": Throttled,
    "TooManyRequests": Throttled,
}
"""Codes of ARM, AKS and the compute provider, each without the prefix `ErrCode_`."""

_WRAPPED: Final = re.compile(r'Code="(\w+)"')
_URL: Final = re.compile(r"\s*\(?https?://\S{120,}")
_LONGEST: Final = 600
"""Characters of a cause; a condition's message may be longer, a person's patience not."""

_AKS_QUOTA: Final = re.compile(
    r"quota,? requested (?P<requested>\d+), remaining (?P<remaining>\d+)"
    r"(?: for family (?P<family>[\w ]+?))?(?: for region (?P<region>\w+)|(?=[.,])|$)",
    re.IGNORECASE,
)
_COMPUTE_QUOTA: Final = re.compile(
    r"exceeding approved (?P<family>[\w ]+?) Cores quota"
    r"(?:.*?Location: (?P<region>\w+))?"
    r"(?:.*?Current Limit: (?P<limit>\d+))?"
    r"(?:.*?Current Usage: (?P<usage>\d+))?"
    r"(?:.*?Additional Required: (?P<requested>\d+))?",
    re.IGNORECASE | re.DOTALL,
)


def meaning(
    status: int | None, error: Mapping[str, Any], retry_after: float | None = None
) -> CloudError:
    """Our error for an ARM error object; `status` is None where a GET told it of a failed pool."""
    causes = list(_innermost_first(error))
    message = _readable(causes, status)
    for code, text in causes:
        if code in _QUOTA or (code == "OperationNotAllowed" and "quota" in text.lower()):
            return _quota(text)
        if (kind := _BY_CODE.get(code)) is not None:
            return _made(kind, message, retry_after)
    if any(code == "OperationNotAllowed" for code, _ in causes):
        return Busy(message)
    return _made(_by_status(status), message, retry_after)


def _innermost_first(error: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for detail in error.get("details") or ():
        yield from _innermost_first(detail)
    message = str(error.get("message") or "")
    for wrapped in reversed(_WRAPPED.findall(message)):
        yield wrapped.removeprefix("ErrCode_"), message
    yield str(error.get("code") or "").removeprefix("ErrCode_"), message


def _readable(causes: list[tuple[str, str]], status: int | None) -> str:
    text = next((text for _, text in causes if text), "")
    text = text or next((code for code, _ in causes if code), "") or f"Azure answered {status}"
    text = " ".join(_URL.sub("", text).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _quota(text: str) -> QuotaExceeded:
    found = _AKS_QUOTA.search(text) or _COMPUTE_QUOTA.search(text)
    if found is None:
        return QuotaExceeded(_readable([("", text)], None))
    message = _readable([("", text[: found.end()])], None)  # what follows is Azure's own advice
    facts = found.groupdict()

    def number(name: str) -> int | None:
        return None if facts.get(name) is None else int(facts[name])

    return QuotaExceeded(
        message,
        family=facts.get("family") or "",
        region=facts.get("region") or "",
        limit=number("limit"),
        usage=number("usage"),
        requested=number("requested"),
        remaining=number("remaining"),
    )


def _by_status(status: int | None) -> type[CloudError]:
    if status is None:
        return LaunchFailed
    if status >= 500 or status == 408:
        return Unreachable
    known: Mapping[int, type[CloudError]] = {
        401: NotPermitted,
        403: NotPermitted,
        404: ClusterNotFound,
        409: Busy,
        412: Busy,
        429: Throttled,
    }
    return known.get(status, InvalidRequest)


def _made(kind: type[CloudError], message: str, retry_after: float | None) -> CloudError:
    error = kind(message)
    error.retry_after = retry_after
    return error
