"""The embedded cluster as `kaito up` puts it together."""

from random import Random

import pytest

from kaito.app.embedded import embedded
from kaito.app.front import FrontOptions, opened
from kaito.kube.errors import ApiError
from kaito.kube.objects import Json
from kaito.kube.resources import CONFIGMAPS, SERVICES, VALIDATINGWEBHOOKCONFIGURATIONS
from tests.contract.webhooks.endpoint import Hooks, listening

RULE = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["CREATE"],
    "resources": ["configmaps"],
}


def configuration(**client: object) -> Json:
    webhook = {
        "name": "v.example.com",
        "clientConfig": client,
        "rules": [RULE],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
    }
    return {"metadata": {"name": "v"}, "webhooks": [webhook]}


MAP = {"metadata": {"namespace": "default", "name": "c"}}


@pytest.mark.realtime
async def test_webhooks_on_this_machine_are_called() -> None:
    """One that is named by url decides; one behind a Service without an address to dial fails the
    write, in the real server's words."""
    hooks = Hooks()
    hooks.script["/v"] = {"allowed": False, "status": {"message": "not here"}}
    async with (
        listening(hooks) as (address, bundle),
        opened(FrontOptions(), Random(3)) as front,
        embedded(front) as cluster,
    ):
        client = cluster.client()
        made = await client.create(
            VALIDATINGWEBHOOKCONFIGURATIONS,
            configuration(url=f"https://{address}/v", caBundle=bundle),
        )
        with pytest.raises(ApiError, match="denied the request: not here"):
            await client.create(CONFIGMAPS, MAP)
        await client.delete(VALIDATINGWEBHOOKCONFIGURATIONS, made.key)
        service = {"namespace": "default", "name": "hooks"}
        await client.create(SERVICES, {"metadata": service, "spec": {"ports": [{"port": 443}]}})
        await client.create(
            VALIDATINGWEBHOOKCONFIGURATIONS, configuration(service=service, caBundle=bundle)
        )
        with pytest.raises(ApiError, match='no endpoints available for service "hooks"'):
            await client.create(CONFIGMAPS, MAP)
