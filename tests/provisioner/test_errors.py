from typing import Any

import pytest

from kaito.provisioner.azure.errors import meaning
from kaito.provisioner.cloud import (
    AllocationFailed,
    Busy,
    CloudError,
    ClusterNotFound,
    InvalidRequest,
    LaunchFailed,
    NotPermitted,
    QuotaExceeded,
    SkuUnavailable,
    Throttled,
    Unreachable,
)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "ErrCode_InsufficientVCPUQuota", QuotaExceeded),
        (409, "QuotaExceeded", QuotaExceeded),
        (409, "SkuNotAvailable", SkuUnavailable),
        (400, "VMSizeNotSupported", SkuUnavailable),
        (409, "AllocationFailed", AllocationFailed),
        (409, "ZonalAllocationFailed", AllocationFailed),
        (403, "RequestDisallowedByPolicy", NotPermitted),
        (403, "AuthorizationFailed", NotPermitted),
        (401, "", NotPermitted),
        (404, "ResourceGroupNotFound", ClusterNotFound),
        (404, "Anything", ClusterNotFound),
        (404, "", ClusterNotFound),
        (409, "OperationNotAllowed", Busy),
        (400, "OperationNotAllowed", Busy),
        (409, "Anything", Busy),
        (412, "PreconditionFailed", Busy),
        (429, "", Throttled),
        (400, "InvalidParameter", InvalidRequest),
        (500, "InternalServerError", Unreachable),
        (503, "", Unreachable),
        (408, "", Unreachable),
        (None, "Surprise", LaunchFailed),
        (None, "SkuNotAvailable", SkuUnavailable),
    ],
)
def test_codes_and_statuses_have_a_meaning(
    status: int | None, code: str, kind: type[CloudError]
) -> None:
    """The code decides where it is known, else the status; the text is for people."""
    error = meaning(status, {"code": code, "message": "told"})

    assert type(error) is kind
    assert str(error) == "told"


def test_the_quota_of_aks_is_understood() -> None:
    """Family, region and shortfall are taken over; Azure's own advice is not repeated."""
    error = meaning(
        400,
        {
            "code": "ErrCode_InsufficientVCPUQuota",
            "message": "Insufficient vcpu quota requested 24, remaining 8 for family"
            " standardNCADSA100v4Family for region eastus. If you want to increase, follow ...",
        },
    )

    assert isinstance(error, QuotaExceeded)
    assert (error.family, error.region) == ("standardNCADSA100v4Family", "eastus")
    assert "by at least 16 vCPUs" in error.advice
    assert "follow" not in error.told


def test_a_family_with_spaces_in_its_name_is_understood() -> None:
    """Some families are really called so."""
    message = (
        "Insufficient vcpu quota requested 4, remaining 0 for family Standard NCASv3_T4 Family"
    )

    error = meaning(400, {"code": "ErrCode_InsufficientVCPUQuota", "message": f"{message}."})

    assert isinstance(error, QuotaExceeded)
    assert error.family == "Standard NCASv3_T4 Family"


def test_the_quota_of_the_compute_provider_is_understood() -> None:
    """The same code means an operation in progress elsewhere; limit and usage are taken over."""
    error = meaning(
        409,
        {
            "code": "OperationNotAllowed",
            "message": "Operation could not be completed as it results in exceeding approved"
            " standardNCSv3Family Cores quota. Additional details - Deployment Model: Resource"
            " Manager, Location: westeurope, Current Limit: 6, Current Usage: 6, Additional"
            " Required: 6, (Minimum) New Limit Required: 12. Submit a request at https://aka.ms/"
            + "x"
            * 300,
        },
    )

    assert isinstance(error, QuotaExceeded)
    assert (error.limit, error.usage, error.requested) == (6, 6, 6)
    assert "in westeurope to at least 12 vCPUs" in error.advice
    assert "xxx" not in error.told


@pytest.mark.parametrize(
    "error",
    [
        {"code": "A", "message": "m", "details": [{"code": "SkuNotAvailable", "message": "in"}]},
        {"code": "A", "message": 'Code="B" Message="Code="SkuNotAvailable" Message="in""'},
        {"code": "A", "details": [{"code": "B", "details": [{"code": "SkuNotAvailable"}]}]},
    ],
)
def test_the_innermost_known_code_decides(error: dict[str, Any]) -> None:
    """Azure wraps causes, as objects and as text."""
    assert type(meaning(400, error)) is SkuUnavailable


def test_what_azure_asks_for_is_handed_on() -> None:
    """Retry-After belongs to the caller when it is too long for this seam."""
    assert meaning(429, {}, 37.0).retry_after == 37.0


def test_long_texts_are_cut() -> None:
    """A condition is read by people."""
    assert len(str(meaning(400, {"message": "word " * 1000}))) <= 600
