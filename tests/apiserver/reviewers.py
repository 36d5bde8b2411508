"""An API server in the process, and webhooks that it asks for admission."""

import base64
import json

from kaito.kube.transport import Response
from tests.apiserver.support import Api

GROUP = "/apis/admissionregistration.k8s.io/v1"
MAPS = "/api/v1/namespaces/default/configmaps"
RULE = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["*"],
    "resources": ["configmaps"],
}


def hook(name, **fields):
    return {
        "name": f"{name}.example.com",
        "clientConfig": {"url": f"https://hooks/{name}"},
        "rules": [RULE],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        **fields,
    }


def config_map(name="c", **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def patch(*operations):
    text = json.dumps(operations).encode()
    return {"patchType": "JSONPatch", "patch": base64.b64encode(text).decode()}


def deny(**status):
    return {"allowed": False, **({"status": status} if status else {})}


class Hooks:
    """Answers reviews in this process. `act[name]`: fields of the response, or a function of the
    request that returns them, or a whole HTTP response."""

    def __init__(self):
        self.act, self.asked, self.urls = {}, [], []

    async def post(self, endpoint, body):
        review = json.loads(body)
        name = endpoint.url.partition("?")[0].rpartition("/")[2]
        self.urls.append(endpoint.url)
        self.asked.append((name, review["request"]))
        act = self.act.get(name, {})
        fields = act(review["request"]) if callable(act) else act
        if isinstance(fields, Response):
            return fields
        response = {"uid": review["request"]["uid"], "allowed": True, **fields}
        head = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
        return Response(status=200, body=json.dumps({**head, "response": response}).encode())

    @property
    def names(self):
        return [name for name, _ in self.asked]

    def forget(self):
        self.asked.clear()
        self.act.clear()


class World(Api):
    """An API server, and webhooks named `m...` (mutating) and `v...` (validating)."""

    def __init__(self):
        super().__init__()
        self.hooks = self.server.webhooks = Hooks()

    async def configure(self, kind, name, *hooks):
        body = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": name},
            "webhooks": list(hooks),
        }
        return await self.ok("POST", f"{GROUP}/{kind.lower()}s", body)

    async def validating(self, *hooks, name="v"):
        return await self.configure("ValidatingWebhookConfiguration", name, *hooks)

    async def mutating(self, *hooks, name="m"):
        return await self.configure("MutatingWebhookConfiguration", name, *hooks)
