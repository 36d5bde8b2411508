import json
import random
from typing import Any

import pytest

from kaito.kube.clock import LoopClock
from kaito.kube.transport import Request, Response
from kaito.simulator.arm import answers
from kaito.simulator.arm.endpoint import ArmEndpoint
from kaito.simulator.arm.faults import Fault
from kaito.simulator.arm.pools import ArmOptions
from kaito.simulator.arm.sizes import size_of

A100 = "Standard_NC24ads_A100_v4"
CLUSTER = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/kaito"
    "/providers/Microsoft.ContainerService/managedClusters/embedded"
)
POOLS = f"{CLUSTER}/agentPools"


def endpoint(**options: Any) -> ArmEndpoint:
    return ArmEndpoint(
        clock=LoopClock(), random=random.Random(1), options=ArmOptions(jitter=0, **options)
    )


async def ask(
    arm: ArmEndpoint,
    method: str,
    path: str,
    properties: dict[str, Any] | None = None,
    *,
    version: str = "2026-08-01",
    authorization: str = "Bearer t",
    **headers: str,
) -> Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await arm.handle(
        Request(
            method=method,
            path=path,
            query=(("api-version", version),) if version else (),
            headers={"authorization": authorization, "host": "arm", **names},
            body=json.dumps({"properties": properties}).encode() if properties else b"",
        )
    )


def told(response: Response) -> Any:
    return json.loads(response.body)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"authorization": ""}, 401, "AuthenticationFailed"),
        ({"version": ""}, 400, "MissingApiVersionParameter"),
        ({"version": "2019-01-01"}, 400, "NoRegisteredProviderFound"),
        ({"path": POOLS.replace("0000-", "1111-")}, 404, "SubscriptionNotFound"),
        ({"path": POOLS.replace("/kaito/", "/other/")}, 404, "ResourceGroupNotFound"),
        ({"path": POOLS.replace("embedded", "other")}, 404, "ResourceNotFound"),
        ({"path": "/subscriptions"}, 501, "NotImplemented"),
        ({"method": "PATCH"}, 501, "NotImplemented"),
    ],
)
async def test_what_azure_would_refuse_is_refused(
    request_: dict[str, str], status: int, code: str
) -> None:
    """Token, api-version and scope are checked before anything else."""
    arguments = {"method": "GET", "path": POOLS, **request_}

    response = await ask(endpoint(), **arguments)

    assert response.status == status
    assert told(response)["error"]["code"] == code


async def test_names_in_the_path_do_not_depend_on_case() -> None:
    """ARM compares resource groups and providers without case."""
    assert (await ask(endpoint(), "GET", POOLS.lower())).status == 200


async def test_a_put_starts_an_operation_that_can_be_followed() -> None:
    """201, the pool as Creating, and an operation that ends as Succeeded."""
    arm = endpoint(create_seconds=200)
    put = await ask(arm, "PUT", f"{POOLS}/ws1", {"vmSize": A100})
    operation = put.headers["azure-asyncoperation"].removeprefix("https://arm").split("?")[0]

    assert put.status == 201
    assert told(put)["properties"]["provisioningState"] == "Creating"
    assert told(await ask(arm, "GET", operation))["status"] == "InProgress"

    await LoopClock().sleep(201)
    ended = told(await ask(arm, "GET", operation))
    assert ended["status"] == "Succeeded"
    assert ended["endTime"] == "2026-01-01T00:03:21Z"
    pool = told(await ask(arm, "GET", f"{POOLS}/ws1"))
    assert pool["properties"]["provisioningState"] == "Succeeded"


async def test_a_failed_operation_says_why_in_both_places() -> None:
    """The operation and the pool carry the same error; no machine was ever on."""
    arm = endpoint(fail_seconds=40)
    arm.faults.inject(Fault(outcome=answers.allocation_failed(A100, "eastus")))
    put = await ask(arm, "PUT", f"{POOLS}/ws1", {"vmSize": A100})
    operation = put.headers["azure-asyncoperation"].removeprefix("https://arm").split("?")[0]
    await LoopClock().sleep(300)

    ended = told(await ask(arm, "GET", operation))
    pool = told(await ask(arm, "GET", f"{POOLS}/ws1"))

    assert ended["status"] == "Failed"
    assert ended["error"] == pool["properties"]["status"]["provisioningError"]
    assert arm.meter.node_seconds == 0


async def test_if_none_match_never_updates() -> None:
    """412, and the pool is as it was."""
    arm = endpoint()
    await ask(arm, "PUT", f"{POOLS}/ws1", {"vmSize": A100})

    again = await ask(arm, "PUT", f"{POOLS}/ws1", {"vmSize": "Standard_D4s_v3"}, if_none_match="*")

    assert again.status == 412
    assert told(await ask(arm, "GET", f"{POOLS}/ws1"))["properties"]["vmSize"] == A100


async def test_without_a_condition_a_put_is_an_update() -> None:
    """As in Azure, and refused while an operation is in progress."""
    arm = endpoint()
    await ask(arm, "PUT", f"{POOLS}/ws1", {"vmSize": A100})
    busy = await ask(arm, "PUT", f"{POOLS}/ws1", {"vmSize": A100, "tags": {"a": "b"}})
    await LoopClock().sleep(300)
    updated = await ask(arm, "PUT", f"{POOLS}/ws1", {"vmSize": A100, "tags": {"a": "b"}})

    assert (busy.status, told(busy)["code"]) == (409, "OperationNotAllowed")
    assert updated.status == 200
    assert told(updated)["properties"]["tags"] == {"a": "b"}
    assert arm.meter.pools_created == 1


async def test_every_change_has_its_etag() -> None:
    """A DELETE with an old one changes nothing; with the new one it starts."""
    arm = endpoint()
    old = told(await ask(arm, "PUT", f"{POOLS}/ws1", {"vmSize": A100}))["properties"]["eTag"]
    await LoopClock().sleep(300)
    new = told(await ask(arm, "GET", f"{POOLS}/ws1"))["properties"]["eTag"]

    assert (await ask(arm, "DELETE", f"{POOLS}/ws1", if_match=f'"{old}"')).status == 412
    assert (await ask(arm, "DELETE", f"{POOLS}/ws1", if_match=f'"{new}"')).status == 202
    await LoopClock().sleep(300)
    assert (await ask(arm, "GET", f"{POOLS}/ws1")).status == 404
    assert (await ask(arm, "DELETE", f"{POOLS}/ws1")).status == 204


async def test_a_deleted_pool_under_creation_never_switches_on() -> None:
    """What an earlier operation had planned does not happen any more."""
    arm = endpoint(boot_seconds=100, delete_seconds=20)
    await ask(arm, "PUT", f"{POOLS}/ws1", {"vmSize": A100})
    await ask(arm, "DELETE", f"{POOLS}/ws1")
    await LoopClock().sleep(1000)

    assert arm.states() == {}
    assert arm.current() == ()
    assert arm.meter.node_seconds == 0


async def test_body_and_name_are_checked() -> None:
    """What is not JSON, no name or no size is refused in Azure's words."""
    arm = endpoint()
    request = Request(
        method="PUT",
        path=f"{POOLS}/ws1",
        query=(("api-version", "2026-08-01"),),
        headers={"authorization": "Bearer t"},
        body=b"{",
    )

    assert told(await arm.handle(request))["error"]["code"] == "InvalidRequestContent"
    assert told(await ask(arm, "PUT", f"{POOLS}/WS_1", {"vmSize": A100}))["code"] == (
        "InvalidParameter"
    )
    assert told(await ask(arm, "PUT", f"{POOLS}/ws1", {"vmSize": "huge"}))["code"] == (
        "VMSizeNotSupported"
    )


async def test_the_managed_cluster_is_there() -> None:
    """Its location, node resource group and power state can be read."""
    body = told(await ask(endpoint(), "GET", CLUSTER))

    assert body["location"] == "eastus"
    assert body["properties"]["nodeResourceGroup"] == "MC_kaito_embedded_eastus"


async def test_the_quota_counts_by_family() -> None:
    """Other families are not touched; a deleted pool gives its vCPUs back."""
    arm = endpoint()
    arm.set_quota("standardNCADSA100v4Family", 24)

    assert (await ask(arm, "PUT", f"{POOLS}/ws1", {"vmSize": A100})).status == 201
    assert (await ask(arm, "PUT", f"{POOLS}/ws2", {"vmSize": A100})).status == 400
    assert (await ask(arm, "PUT", f"{POOLS}/ws3", {"vmSize": "Standard_NC6s_v3"})).status == 201
    await ask(arm, "DELETE", f"{POOLS}/ws1")
    await LoopClock().sleep(300)
    assert (await ask(arm, "PUT", f"{POOLS}/ws2", {"vmSize": A100})).status == 201


@pytest.mark.parametrize(
    ("name", "vcpus", "family"),
    [
        (A100, 24, "standardNCADSA100v4Family"),
        ("Standard_NC6s_v3", 6, "standardNCSv3Family"),
        ("standard_nc6s_v3", 6, "standardNCSv3Family"),
        ("Standard_NC64as_T4_v3", 64, "Standard NCASv3_T4 Family"),
        ("Standard_ND96asr_v4", 96, "Standard NDASv4_A100 Family"),
        ("Standard_NV36ads_A10_v5", 36, "StandardNVADSA10v5Family"),
        ("Standard_D4s_v3", 4, "standardDSv3Family"),
    ],
)
def test_a_size_names_its_vcpus_and_family(name: str, vcpus: int, family: str) -> None:
    """The families are spelled as Azure spells them, case of the size apart."""
    assert size_of(name) == (name, vcpus, family)


def test_what_is_no_size_has_none() -> None:
    """A typing error is refused, not guessed."""
    assert size_of("NC24") is None
