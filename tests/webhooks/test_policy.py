"""The warnings at `kubectl apply`, given by the API server itself."""

from pathlib import Path
from random import Random

import yaml

from kaito.api.crds import documents as crds
from kaito.api.resources import WORKSPACES
from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock
from kaito.kube.objects import Resource
from kaito.kube.resources import CRDS
from kaito.webhooks import policy

EXAMPLES = Path(__file__).parents[2] / "examples"
SEED = "fine-tuning/kaito_workspace_tuning_phi_3.yaml"
PHI_4 = "inference/kaito_workspace_phi_4_mini.yaml"


async def warnings_of(obj):
    """What a client is told when it creates the object."""
    told = []
    clock = LoopClock()
    server = ApiServer(clock=clock, random=Random(1))
    client = Client(in_process(server), clock=clock, random=Random(1), on_warning=told.append)
    for crd in crds():
        await client.create(CRDS, crd)
    for document in policy.documents():
        plural = "validatingadmissionpolicies"
        if document["kind"].endswith("Binding"):
            plural = "validatingadmissionpolicybindings"
        group = "admissionregistration.k8s.io"
        kind = Resource(group, "v1", plural, document["kind"], namespaced=False)
        await client.create(kind, document)
    obj["metadata"]["namespace"] = "default"
    await client.create(WORKSPACES, {**obj, "apiVersion": "kaito.sh/v1beta1"})
    return told


def example(name):
    return yaml.safe_load((EXAMPLES / name).read_text())


async def test_the_seed_as_printed_gets_a_warning_for_each_line_to_edit():
    """Accepted, and told at once: the image, the Secret, and the size that Azure retired."""
    told = await warnings_of(example(SEED))

    fields = ("tuning.output.image:", "tuning.output.imagePushSecret:", "resource.instanceType:")
    assert len(told) == len(fields)
    assert all(field in text for field, text in zip(fields, told, strict=True))


async def test_what_can_work_gets_no_warning():
    """Neither inference nor a filled-in file is nagged about."""
    assert await warnings_of(example(PHI_4)) == []


async def test_an_output_without_a_secret_is_no_placeholder():
    """What is absent is not warned about; registries may be open."""
    obj = example(SEED)
    obj["resource"]["instanceType"] = "Standard_NC24ads_A100_v4"
    obj["tuning"]["output"] = {"image": "r.azurecr.io/a:1"}

    assert await warnings_of(obj) == []
