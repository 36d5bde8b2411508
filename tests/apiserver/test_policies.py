"""Admission policies in CEL: warnings and refusals that need no webhook."""

import json
from random import Random

import pytest

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer
from kaito.kube.clock import LoopClock
from kaito.kube.transport import Request

GROUP = "/apis/admissionregistration.k8s.io/v1"


def policy(**spec):
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["configmaps"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "p"},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "variables": [
                {"name": "word", "expression": "has(object.data.word) ? object.data.word : ''"}
            ],
            "validations": [
                {
                    "expression": "variables.word == variables.word.lowerAscii()",
                    "messageExpression": "'not lower case: ' + variables.word",
                }
            ],
            **spec,
        },
    }


def binding(*actions):
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "b"},
        "spec": {"policyName": "p", "validationActions": list(actions)},
    }


def config_map(word):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "default"},
        "data": {"word": word},
    }


class Cluster:
    def __init__(self):
        server = ApiServer(clock=LoopClock(), random=Random(1))
        self.transport = in_process(server)

    async def send(self, method, path, body):
        headers = {"content-type": "application/json"}
        answer = await self.transport.send(
            Request(method=method, path=path, headers=headers, body=json.dumps(body).encode())
        )
        return answer.status, answer.headers.get("warning", ""), json.loads(answer.body)

    async def bind(self, spec, *actions, **more):
        bound = binding(*actions)
        bound["spec"] |= more
        for path, obj in (
            ("validatingadmissionpolicies", spec),
            ("validatingadmissionpolicybindings", bound),
        ):
            status, _, body = await self.send("POST", f"{GROUP}/{path}", obj)
            assert status == 201, body

    async def create(self, word):
        return await self.send("POST", "/api/v1/namespaces/default/configmaps", config_map(word))


async def test_a_bound_policy_warns():
    """The action Warn lets the write through, with the policy's message in a Warning header."""
    cluster = Cluster()
    await cluster.bind(policy(), "Warn")

    status, warning, _ = await cluster.create("LOUD")

    assert status == 201
    assert warning == (
        "299 - \"Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': "
        'not lower case: LOUD"'
    )


async def test_a_bound_policy_denies():
    """The action Deny refuses the write as 422 Invalid and stores nothing."""
    cluster = Cluster()
    await cluster.bind(policy(), "Deny")

    status, _, body = await cluster.create("LOUD")
    accepted, _, _ = await cluster.create("quiet")

    assert (status, body["reason"]) == (422, "Invalid")
    assert "denied request: not lower case: LOUD" in body["message"]
    assert accepted == 201


async def test_updates_are_judged_too():
    """What was fine when created may not become wrong by an update."""
    cluster = Cluster()
    await cluster.bind(policy(), "Deny")
    await cluster.create("quiet")

    path = "/api/v1/namespaces/default/configmaps/c"
    status, _, _ = await cluster.send("PUT", path, config_map("LOUD"))

    assert status == 422


async def test_an_unbound_policy_does_nothing():
    """A policy without a binding applies to nothing."""
    cluster = Cluster()
    await cluster.send("POST", f"{GROUP}/validatingadmissionpolicies", policy())

    assert (await cluster.create("LOUD"))[:2] == (201, "")


@pytest.mark.parametrize(("failure_policy", "status"), [("Ignore", 201), ("Fail", 422)])
async def test_an_expression_that_fails(failure_policy, status):
    """An expression that cannot be evaluated counts as the failurePolicy says."""
    cluster = Cluster()
    broken = policy(
        failurePolicy=failure_policy, validations=[{"expression": "object.nowhere.field == 1"}]
    )
    await cluster.bind(broken, "Deny")

    assert (await cluster.create("x"))[0] == status


@pytest.mark.parametrize(
    ("named", "status", "why"),
    [("strict", 422, "failed expression"), ("kind", 201, ""), ("none", 422, "no params found")],
)
async def test_a_policy_is_judged_with_its_parameters(named, status, why):
    """What a binding refers to is seen as `params`; without it the write fails, as it says."""
    cluster = Cluster()
    for name, prefix in (("strict", "d"), ("kind", "c")):
        params = {**config_map(""), "metadata": {"name": name}, "data": {"prefix": prefix}}
        await cluster.send("POST", "/api/v1/namespaces/default/configmaps", params)
    limited = policy(
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        validations=[{"expression": "object.metadata.name.startsWith(params.data.prefix)"}],
    )
    reference = {"name": named, "parameterNotFoundAction": "Deny"}
    await cluster.bind(limited, "Deny", paramRef=reference)

    answered, _, body = await cluster.create("")

    assert answered == status
    assert why in body.get("message", "")
