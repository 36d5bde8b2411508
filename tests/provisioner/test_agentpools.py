from datetime import UTC, datetime
from typing import Any

import pytest

from kaito.provisioner.azure.agentpools import body, instance
from kaito.provisioner.cloud import (
    AllocationFailed,
    ImageFamily,
    InvalidRequest,
    LaunchFailed,
    MachineRequest,
    State,
    Taint,
)

BORN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def request(**changes: Any) -> MachineRequest:
    facts: dict[str, Any] = {
        "name": "ws0123456789",
        "vm_size": "Standard_NC24ads_A100_v4",
        "owner_uid": "uid-1",
        "created_at": BORN,
    }
    return MachineRequest(**{**facts, **changes})


def test_a_request_becomes_one_user_pool_of_one_machine() -> None:
    """The properties are those that gpu-provisioner sends, plus mode and the ownership tags."""
    asked = request(
        os_disk_gib=120,
        image_family=ImageFamily.AZURE_LINUX,
        labels={"kaito.sh/workspace": "phi"},
        taints=(Taint(key="sku", value="gpu", effect="NoSchedule"),),
        tags={"cost-centre": "42"},
    )

    assert body(asked)["properties"] == {
        "count": 1,
        "mode": "User",
        "nodeLabels": {
            "kaito.sh/workspace": "phi",
            "kaito.sh/machine-type": "gpu",
            "kaito.sh/creation-timestamp": "2026-03-04T05-06-07Z",
        },
        "nodeTaints": ["sku=gpu:NoSchedule"],
        "osDiskSizeGB": 120,
        "osSKU": "AzureLinux",
        "osType": "Linux",
        "tags": {
            "cost-centre": "42",
            "kaito-nodeclaim-uid": "uid-1",
            "kaito-nodeclaim-created": "2026-03-04T05:06:07+00:00",
        },
        "type": "VirtualMachineScaleSets",
        "vmSize": "Standard_NC24ads_A100_v4",
    }


def test_without_a_disk_size_the_cloud_chooses() -> None:
    """Zero is not sent: AKS would refuse or reinterpret it."""
    assert "osDiskSizeGB" not in body(request())["properties"]


@pytest.mark.parametrize(
    ("size", "kind"),
    [("Standard_NC6s_v3", "gpu"), ("standard_nc6s_v3", "gpu"), ("Standard_D4s_v3", "cpu")],
)
def test_the_machine_type_does_not_depend_on_case(size: str, kind: str) -> None:
    """A size in lower case is the same size."""
    labels = body(request(vm_size=size))["properties"]["nodeLabels"]

    assert labels["kaito.sh/machine-type"] == kind


@pytest.mark.parametrize("name", ["", "Ws1", "1ws", "ws-1", "ws01234567890"])
def test_a_name_that_azure_would_refuse_is_refused_before_it_is_sent(name: str) -> None:
    """1 to 12 lower-case letters and digits, a letter first."""
    with pytest.raises(InvalidRequest, match="cannot name a node pool"):
        body(request(name=name))


@pytest.mark.parametrize(
    ("told", "power", "state"),
    [
        ("Creating", "Running", State.CREATING),
        (None, None, State.CREATING),
        ("Succeeded", "Running", State.READY),
        ("Succeeded", "Stopped", State.STOPPED),
        ("Starting", "Stopped", State.STOPPED),
        ("UpgradingNodeImageVersion", "Running", State.READY),
        ("SomethingNew", "Running", State.READY),
        ("Failed", "Running", State.FAILED),
        ("Canceled", "Running", State.FAILED),
        ("Deleting", "Stopped", State.DELETING),
    ],
)
def test_every_provisioning_state_has_a_meaning(
    told: str | None, power: str | None, state: State
) -> None:
    """Unknown and absent states crash nothing, and never mean that the machine is gone."""
    pool = {"name": "p", "properties": {"provisioningState": told, "powerState": {"code": power}}}

    assert instance(pool).state is state


def test_what_was_sent_comes_back() -> None:
    """Owner and creation time survive the round trip."""
    seen = instance({"name": "ws1", **body(request())})

    assert seen.owner_uid == "uid-1"
    assert seen.created_at == BORN


def test_the_creation_time_of_a_former_provisioners_pool_is_read_from_its_label() -> None:
    """gpu-provisioner sets no tags."""
    labels = {"kaito.sh/creation-timestamp": "2026-03-04T05-06-07Z"}

    seen = instance({"name": "ws1", "properties": {"nodeLabels": labels}})

    assert seen.created_at == BORN
    assert seen.owner_uid == ""


@pytest.mark.parametrize("text", ["", "yesterday", "2026-03-04"])
def test_an_unreadable_creation_time_is_none(text: str) -> None:
    """A stranger's pool may carry anything."""
    labels = {"kaito.sh/creation-timestamp": text}

    assert instance({"name": "ws1", "properties": {"nodeLabels": labels}}).created_at is None


def test_a_failed_pool_tells_why() -> None:
    """The cause that the compute provider gave is found inside AKS' wrapping."""
    message = 'Code="AllocationFailed" Message="no capacity for Standard_NC24ads_A100_v4"'
    error = {"code": "ReconcileVMSSAgentPoolFailed", "message": message}
    properties = {"provisioningState": "Failed", "status": {"provisioningError": error}}

    assert isinstance(instance({"name": "p", "properties": properties}).failure, AllocationFailed)
    assert isinstance(
        instance({"name": "p", "properties": {"provisioningState": "Failed"}}).failure,
        LaunchFailed,
    )


def test_an_empty_pool_is_readable() -> None:
    """Nothing in an answer is taken for granted."""
    assert instance({}).name == ""
