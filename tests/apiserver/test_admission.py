"""Admission webhooks, from the API server's side. Words as Kubernetes 1.36 has them."""

import base64
import json

import pytest
from aiohttp import web

from kaito.apiserver.certificates import Authority
from kaito.apiserver.server import ApiServer
from kaito.apiserver.webhookcalls import CallFailed
from kaito.apiserver.webhookhttps import HttpsCaller
from kaito.kube.clock import LoopClock, SystemClock
from kaito.kube.transport import Response
from tests.apiserver.reviewers import GROUP, MAPS, RULE, World, config_map, deny, hook, patch
from tests.apiserver.support import Api


async def test_configurations_are_served_with_their_defaults():
    """Fail, Equivalent, ten seconds, port 443, scope *; reinvocation only of mutating ones."""
    world = World()
    service = {"service": {"namespace": "n", "name": "s"}}
    made = await world.validating(hook("v", clientConfig=service))
    [found] = made["webhooks"]
    assert (found["failurePolicy"], found["matchPolicy"]) == ("Fail", "Equivalent")
    assert (found["timeoutSeconds"], found["rules"][0]["scope"]) == (10, "*")
    assert found["clientConfig"]["service"]["port"] == 443
    made = await world.mutating(hook("m"))
    assert made["webhooks"][0]["reinvocationPolicy"] == "Never"


WHERE = "webhooks[0]"
NEVER = {"apiGroups": ["*"], "apiVersions": [], "operations": ["X"], "resources": ["*"]}


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        (
            {"name": "short"},
            "name",
            (
                'Invalid value: "short": should be a domain with at least three segments separated '
                "by dots"
            ),
        ),
        (
            {"rules": [NEVER]},
            "rules[0].operations[0]",
            (
                'Unsupported value: "X": supported values: "*", "CONNECT", "CREATE", "DELETE", '
                '"UPDATE"'
            ),
        ),
        ({"rules": [NEVER]}, "rules[0].apiVersions", "Required value"),
        (
            {"failurePolicy": "No"},
            "failurePolicy",
            'Unsupported value: "No": supported values: "Fail", "Ignore"',
        ),
        (
            {"sideEffects": None},
            "sideEffects",
            "Required value: must specify one of None, NoneOnDryRun",
        ),
        (
            {"timeoutSeconds": 31},
            "timeoutSeconds",
            "Invalid value: 31: the timeout value must be between 1 and 30 seconds",
        ),
        (
            {"clientConfig": {}},
            "clientConfig",
            "Required value: exactly one of url or service is required",
        ),
        (
            {"clientConfig": {"url": "https://a/b?timeout=9"}},
            "clientConfig.url",
            'Invalid value: "timeout=9": query parameters are not permitted in the URL',
        ),
        (
            {"clientConfig": {"service": {"namespace": "n", "name": "s", "path": "x"}}},
            "clientConfig.service.path",
            "Invalid value: \"x\": must start with a '/'",
        ),
        (
            {"admissionReviewVersions": ["v9"]},
            "admissionReviewVersions",
            'Invalid value: ["v9"]: must include at least one of v1, v1beta1',
        ),
    ],
)
async def test_a_configuration_that_could_not_work_is_refused(fields, field, message):
    """When it is written, not when somebody else writes something."""
    world = World()
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "v"},
        "webhooks": [{**hook("v"), **fields}],
    }
    told = await world.refused("POST", f"{GROUP}/validatingwebhookconfigurations", body)
    causes = [(cause["field"], cause["message"]) for cause in told["details"]["causes"]]
    assert (told["code"], told["reason"]) == (422, "Invalid")
    assert (f"{WHERE}.{field}", message) in causes


async def test_a_creation_is_shown_before_and_after_the_server_completed_it():
    """Mutating: no uid, no generated name. Validating: both, and the same are stored."""
    world = World()
    await world.mutating(hook("m"))
    await world.validating(hook("v"))
    body = {**config_map(), "metadata": {"generateName": "g-"}}
    made = await world.ok("POST", f"{MAPS}?dryRun=All&fieldManager=fm", body)
    (_, before), (_, after) = world.hooks.asked
    assert "uid" not in before["object"]["metadata"]
    assert "name" not in before
    assert "name" not in before["object"]["metadata"]
    for field in ("uid", "name", "creationTimestamp"):
        assert after["object"]["metadata"][field] == made["metadata"][field]
    assert after["name"] == made["metadata"]["name"]
    assert before["userInfo"] == {
        "username": "admin",
        "groups": ["system:masters", "system:authenticated"],
    }
    assert before["kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert before["requestResource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert (before["operation"], before["dryRun"], before["oldObject"]) == ("CREATE", True, None)
    assert before["options"] == {
        "kind": "CreateOptions",
        "apiVersion": "meta.k8s.io/v1",
        "dryRun": ["All"],
        "fieldManager": "fm",
    }
    assert world.hooks.urls[0] == "https://hooks/m?timeout=10s"


async def test_updates_and_deletions_are_shown_with_what_is_stored():
    """UPDATE has both objects, also when nothing changes; DELETE only the old one; and a missing
    object or a failed precondition asks nobody."""
    world = World()
    await world.ok("POST", MAPS, config_map())
    await world.validating(hook("v"))
    await world.ok("PUT", f"{MAPS}/c", config_map(a="1"))
    await world.patch(f"{MAPS}/c", {"data": {"a": "1"}})
    await world.refused("DELETE", f"{MAPS}/c", {"preconditions": {"uid": "other"}})
    await world.refused("DELETE", f"{MAPS}/none")
    await world.ok("DELETE", f"{MAPS}/c", {"propagationPolicy": "Background"})
    update, _, removal = [request for _, request in world.hooks.asked]
    assert update["operation"] == "UPDATE"
    assert "data" not in update["oldObject"]
    assert update["object"]["data"] == {"a": "1"}
    assert (removal["operation"], removal["object"]) == ("DELETE", None)
    assert removal["oldObject"]["data"] == {"a": "1"}
    assert removal["options"]["propagationPolicy"] == "Background"


SAYS = 'admission webhook "v.example.com" denied the request'


@pytest.mark.parametrize(
    ("status", "code", "reason", "message"),
    [
        ({}, 400, None, f"{SAYS} without explanation"),
        ({"message": "no way"}, 400, None, f"{SAYS}: no way"),
        ({"reason": "because"}, 400, "because", f"{SAYS}: because"),
        ({"message": "m", "code": 200}, 400, None, f"{SAYS}: m"),
        ({"message": "m", "code": 418}, 418, None, f"{SAYS}: m"),
        ({"message": "m", "code": 422, "reason": "Invalid"}, 422, "Invalid", f"{SAYS}: m"),
    ],
)
async def test_a_denial_is_told_as_the_webhook_worded_it(status, code, reason, message):
    """Code and reason are the webhook's; nothing is stored; warnings are shown all the same."""
    world = World()
    await world.validating(hook("v"))
    world.hooks.act["v"] = {**deny(**status), "warnings": ["mind this"]}
    answer = await world.send("POST", MAPS, config_map())
    told = json.loads(answer.body)
    assert (told["code"], told.get("reason"), told["message"]) == (code, reason, message)
    assert answer.headers["warning"] == '299 - "mind this"'
    assert (await world.refused("GET", f"{MAPS}/c"))["code"] == 404


def lost(request):
    raise CallFailed("dial tcp 127.0.0.1:9: connect: connection refused")


FAILURES = [
    (
        lost,
        (
            'failed to call webhook: Post "https://hooks/v?timeout=10s": '
            "dial tcp 127.0.0.1:9: connect: connection refused"
        ),
    ),
    (
        Response(status=500, body=b"boom"),
        (
            'failed to call webhook: an error on the server ("boom") has prevented the request '
            "from succeeding"
        ),
    ),
    (
        Response(status=200, body=b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}'),
        "received invalid webhook response: webhook response was absent",
    ),
    (
        Response(status=200, body=b'{"response":{}}'),
        (
            "received invalid webhook response: expected webhook response of admission.k8s.io/v1, "
            "Kind=AdmissionReview, got /, Kind="
        ),
    ),
    (
        patch(),
        "received invalid webhook response: validating webhook may not return response.patch",
    ),
]


@pytest.mark.parametrize(("act", "why"), FAILURES)
async def test_a_webhook_that_cannot_be_asked_fails_the_write_or_is_ignored(act, why):
    """As its failurePolicy says."""
    world = World()
    await world.validating(hook("v"))
    world.hooks.act["v"] = act
    told = await world.refused("POST", MAPS, config_map())
    message = f'failed calling webhook "v.example.com": {why}'
    assert told["message"] == f"Internal error occurred: {message}"
    assert (told["code"], told["reason"]) == (500, "InternalError")
    assert told["details"] == {"causes": [{"message": message}]}
    webhooks = [hook("v", failurePolicy="Ignore")]
    path = f"{GROUP}/validatingwebhookconfigurations/v"
    await world.patch(path, {"webhooks": webhooks})
    await world.ok("POST", MAPS, config_map())


async def test_a_webhook_has_its_timeout_and_no_more():
    """In virtual time: the write waits so long, and nothing else does."""
    world = World()
    await world.validating(hook("v", timeoutSeconds=3))
    clock = LoopClock()

    class Silent:
        async def post(self, endpoint, body):
            await clock.sleep(1000)

    world.server.webhooks = Silent()
    start = clock.monotonic()
    told = await world.refused("POST", MAPS, config_map())
    assert told["message"].endswith(
        'failed to call webhook: Post "https://hooks/v?timeout=3s": context deadline exceeded'
    )
    assert clock.monotonic() - start == pytest.approx(3)


async def test_mutations_are_stored_and_seen_by_whoever_is_asked_next():
    """Patches apply in order of configuration names; what the patch brought is pruned by the
    schema; later ones and validating ones see it."""
    world = World()
    await world.mutating(hook("m2"), name="b")
    await world.mutating(hook("m1"), name="a")
    await world.validating(hook("v"))
    world.hooks.act["m1"] = patch(
        {"op": "add", "path": "/data", "value": {"one": "1"}},
        {"op": "add", "path": "/unknown", "value": 1},
    )
    world.hooks.act["m2"] = patch({"op": "add", "path": "/data/two", "value": "2"})
    made = await world.ok("POST", MAPS, config_map())
    assert made["data"] == {"one": "1", "two": "2"}
    assert "unknown" not in made
    assert world.hooks.names == ["m1", "m2", "v"]
    assert world.hooks.asked[1][1]["object"]["data"] == {"one": "1"}
    assert world.hooks.asked[2][1]["object"]["data"] == {"one": "1", "two": "2"}


async def test_a_patch_that_does_not_fit_fails_whatever_the_policy():
    """The webhook was asked and answered; and a deletion has nothing to patch."""
    world = World()
    await world.ok("POST", MAPS, config_map("old"))
    await world.mutating(hook("m", failurePolicy="Ignore"))
    world.hooks.act["m"] = patch({"op": "replace", "path": "/nope/x", "value": 1})
    told = await world.refused("POST", MAPS, config_map())
    assert (told["code"], told["reason"]) == (500, "InternalError")
    told = await world.refused("DELETE", f"{MAPS}/old")
    assert told["message"] == (
        'Internal error occurred: admission webhook "m.example.com" attempted to modify the '
        "object, which is not supported for this operation"
    )


def adds(field):
    """Adds it where it is missing."""

    def act(request):
        if request["object"] is None or field in request["object"].get("data", {}):
            return {}
        return patch({"op": "add", "path": f"/data/{field}", "value": "x"})

    return act


@pytest.mark.parametrize(
    ("patching", "asked"),
    [
        (["z"], ["z", "y", "b2", "b1"]),
        (["b1"], ["z", "y", "b2", "b1", "z"]),
        (["b2", "z", "b1"], ["z", "y", "b2", "b1", "z"]),
    ],
)
async def test_who_wants_is_asked_once_more_after_later_changes(patching, asked):
    """reinvocationPolicy IfNeeded: at most once, and only if another changed it afterwards."""
    world = World()
    again = {"reinvocationPolicy": "IfNeeded"}
    await world.mutating(hook("b2"), hook("b1", **again), name="bbb")
    await world.mutating(hook("z", **again), hook("y"), name="aaa")
    for name in patching:
        world.hooks.act[name] = adds(name)
    await world.ok("POST", MAPS, config_map(k="v"))
    assert world.hooks.names == asked


async def test_only_those_whose_rules_and_selectors_match_are_asked():
    """Operations, resources, subresources, labels of the object and of its namespace, CEL."""
    world = World()
    await world.validating(
        hook("all"),
        hook("creates", rules=[{**RULE, "operations": ["CREATE"]}]),
        hook("pods", rules=[{**RULE, "resources": ["pods", "configmaps/status"]}]),
        hook("cluster", rules=[{**RULE, "scope": "Cluster"}]),
        hook("labelled", objectSelector={"matchLabels": {"a": "b"}}),
        hook(
            "elsewhere",
            namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}},
        ),
        hook(
            "cel",
            matchConditions=[{"name": "n", "expression": "request.operation == 'UPDATE'"}],
        ),
    )
    await world.ok("POST", MAPS, config_map())
    assert world.hooks.names == ["all", "creates"]
    world.hooks.forget()
    await world.patch(f"{MAPS}/c", {"metadata": {"labels": {"a": "b"}}})
    assert world.hooks.names == ["all", "labelled", "cel"]


async def test_webhooks_cannot_stand_in_the_way_of_their_own_removal():
    """Nobody is asked about configurations of admission."""
    world = World()
    everything = {k: ["*"] for k in ("apiGroups", "apiVersions", "operations", "resources")}
    await world.validating(hook("v", rules=[everything]))
    world.hooks.act["v"] = deny()
    await world.refused("POST", MAPS, config_map())
    await world.ok("DELETE", f"{GROUP}/validatingwebhookconfigurations/v")
    await world.ok("POST", MAPS, config_map())


CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [
            {
                "name": version,
                "served": True,
                "storage": version == "v1",
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
            for version in ("v1", "v2")
        ],
    },
}


async def test_an_equivalent_request_is_shown_in_the_version_of_the_rule():
    """matchPolicy Equivalent: a write of v2 reaches a webhook for v1, as v1; Exact does not. The
    status subresource is asked about by its own name."""
    world = World()
    await world.ok("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
    rule = {
        "apiGroups": ["example.com"],
        "apiVersions": ["v1"],
        "operations": ["*"],
        "resources": ["widgets", "widgets/*"],
    }
    await world.validating(
        hook("equal", rules=[rule]), hook("exact", rules=[rule], matchPolicy="Exact")
    )
    path = "/apis/example.com/%s/namespaces/default/widgets"
    widget = {"apiVersion": "example.com/v2", "kind": "Widget", "metadata": {"name": "w"}}
    await world.ok("POST", path % "v2", widget)
    [(name, request)] = world.hooks.asked
    assert (name, request["object"]["apiVersion"]) == ("equal", "example.com/v1")
    assert request["resource"]["version"] == request["kind"]["version"] == "v1"
    assert request["requestResource"]["version"] == request["requestKind"]["version"] == "v2"
    world.hooks.forget()
    await world.patch(path % "v1" + "/w/status", {"status": {"n": 1}})
    assert world.hooks.names == ["equal", "exact"]
    assert {request["subResource"] for _, request in world.hooks.asked} == {"status"}


def named(request):
    return request["oldObject"]["metadata"]["name"]


async def test_a_collection_is_deleted_only_if_every_deletion_is_allowed():
    """All are asked about before the first goes."""
    world = World()
    for name in "abc":
        await world.ok("POST", MAPS, config_map(name))
    await world.validating(hook("v"))
    world.hooks.act["v"] = lambda request: deny() if named(request) == "b" else {}
    assert (await world.refused("DELETE", MAPS))["code"] == 400
    assert len((await world.ok("GET", MAPS))["items"]) == 3
    world.hooks.forget()
    await world.ok("DELETE", MAPS)
    assert world.hooks.names == ["v", "v", "v"]
    assert (await world.ok("GET", MAPS))["items"] == []


async def test_what_changes_while_a_webhook_thinks_is_not_overwritten():
    """The question is asked anew about the object as it is by then."""
    world = World()
    await world.ok("POST", MAPS, config_map(n="0"))
    await world.validating(hook("v", rules=[{**RULE, "operations": ["UPDATE"]}]))
    other, asked = Api(world.server), []

    class Slow:
        async def post(self, endpoint, body):
            asked.append(json.loads(body)["request"]["oldObject"]["data"])
            if len(asked) == 1:
                world.server.webhooks = world.hooks
                await other.patch(f"{MAPS}/c", {"data": {"other": "1"}})
                world.server.webhooks = self
            return await world.hooks.post(endpoint, body)

    world.server.webhooks = Slow()
    made = await world.patch(f"{MAPS}/c", {"data": {"n": "1"}})
    assert made["data"] == {"n": "1", "other": "1"}
    assert asked == [{"n": "0"}, {"n": "0", "other": "1"}]


@pytest.mark.realtime
async def test_webhooks_are_called_over_https_with_their_own_bundle():
    """A Service is resolved by whoever plays the network; a stranger's certificate is refused."""
    authority, clock = Authority(SystemClock()), SystemClock()

    async def answer(request):
        review = await request.json()
        response = {"uid": review["request"]["uid"], **deny(message=request.path_qs)}
        return web.json_response({**review, "response": response})

    app = web.Application()
    app.router.add_post("/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    context = authority.context(["hooks.default.svc", "127.0.0.1"])
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    place = runner.addresses[0][:2]
    try:
        world = World()
        assert isinstance(world.server, ApiServer)
        resolve = {("default", "hooks", 443): place}
        world.server.webhooks = HttpsCaller(lambda *service: resolve.get(service))
        bundle = base64.b64encode(authority.pem).decode()
        service = {"namespace": "default", "name": "hooks", "path": "/p"}
        path = f"{GROUP}/validatingwebhookconfigurations/v"
        await world.validating(hook("v", clientConfig={"service": service, "caBundle": bundle}))
        told = await world.refused("POST", MAPS, config_map())
        assert told["message"].endswith("denied the request: /p?timeout=10s")
        other = base64.b64encode(Authority(clock).pem).decode()
        for client, words in (
            ({"service": service, "caBundle": other}, "tls: failed to verify certificate"),
            ({"service": {**service, "name": "no"}}, 'service "no" not found'),
            ({"url": f"https://{place[0]}:{place[1]}/u", "caBundle": bundle}, "/u?timeout=10s"),
        ):
            await world.patch(path, {"webhooks": [hook("v", clientConfig=client)]})
            told = await world.refused("POST", MAPS, config_map())
            assert words in told["message"]
    finally:
        await runner.cleanup()
