"""Built-in objects: decoding, defaults and checks, as recorded from a real API server."""

import pytest

from kaito.apiserver.schemas import Schemas
from kaito.apiserver.status import Refused

SCHEMAS = Schemas()


def kind(group: str, version: str, name: str):
    found = SCHEMAS.lookup(group, version, name)
    assert found is not None
    return found


POD = kind("", "v1", "Pod")


def pod(**spec):
    containers = [{"name": "a", "image": "a:1"}]
    return {"metadata": {"name": "p"}, "spec": {"containers": containers, **spec}}


def completed(obj, schema=POD):
    SCHEMAS.decode(schema, obj)
    SCHEMAS.default(schema, obj)
    return obj


def test_a_minimal_pod_is_filled_in_as_the_real_server_does():
    """Defaults come from the recording; zeros that Go prints are there."""
    assert completed(pod())["spec"] == {
        "containers": [
            {
                "name": "a",
                "image": "a:1",
                "imagePullPolicy": "IfNotPresent",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
    }


def test_zeros_that_go_would_not_print_are_not_stored():
    """Empty lists, maps and texts vanish; explicit zeros of pointers stay; quantities change."""
    obj = pod(tolerations=[], nodeSelector={}, hostname="", hostNetwork=False, hostUsers=False)
    obj["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "0.5", "memory": "1024Mi"}}

    SCHEMAS.decode(POD, obj)

    assert obj["spec"] == {
        "containers": [
            {
                "name": "a",
                "image": "a:1",
                "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
            }
        ],
        "hostUsers": False,
    }


def test_unknown_fields_are_dropped_and_named():
    """Strict decoding names them by their whole path."""
    obj = pod(foo=1)
    obj["spec"]["containers"][0]["env"] = [{"nam": "x", "name": "y"}]

    assert SCHEMAS.decode(POD, obj) == [
        'unknown field "spec.containers[0].env[0].nam"',
        'unknown field "spec.foo"',
    ]
    assert "foo" not in obj["spec"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"containers": "x"},
            "string into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            {"containers": [{"name": 5}]},
            "number into Go struct field Container.spec.containers.name of type string",
        ),
        (
            {"nodeSelector": []},
            "array into Go struct field PodSpec.spec.nodeSelector of type map[string]string",
        ),
        (
            {"activeDeadlineSeconds": 1.5},
            "number 1.5 into Go struct field PodSpec.spec.activeDeadlineSeconds of type int64",
        ),
    ],
)
def test_a_wrong_type_is_refused_in_the_decoders_words(spec, message):
    """400, with the text of Go's decoder."""
    with pytest.raises(Refused) as refused:
        SCHEMAS.decode(POD, pod(**spec))

    assert refused.value.code == 400
    assert refused.value.message == (
        f'Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal {message}'
    )


def causes(schema, obj, old=None):
    completed(obj, schema)
    if old is not None:
        completed(old, schema)
    return [f"{c.field}: {c.message}" for c in SCHEMAS.validate(schema, obj, old)]


def test_missing_and_unknown_values_are_found():
    """Required fields, closed choices, duplicates, requests above limits."""
    container = {
        "name": "a",
        "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}},
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }

    assert causes(POD, pod(containers=[])) == ["spec.containers: Required value"]
    assert causes(POD, pod(containers=[container, {"name": "a", "image": "b"}])) == [
        "spec.containers[0].image: Required value",
        'spec.containers[0].volumeMounts[0].name: Not found: "v"',
        (
            'spec.containers[0].resources.requests: Invalid value: "2": '
            "must be less than or equal to cpu limit of 1"
        ),
        'spec.containers[1].name: Duplicate value: "a"',
    ]


def stateful_set(**spec):
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod()["spec"]}
    selector = {"matchLabels": {"a": "b"}}
    return {
        "metadata": {"name": "s"},
        "spec": {"serviceName": "s", "selector": selector, "template": template, **spec},
    }


def test_what_never_changes_is_guarded():
    """A StatefulSet's service name is fixed, its replicas are not."""
    schema = kind("apps", "v1", "StatefulSet")

    assert causes(schema, stateful_set(replicas=3), stateful_set()) == []
    assert causes(schema, stateful_set(serviceName="t"), stateful_set()) == [
        (
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', "
            "'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
            "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
        )
    ]


def test_a_secret_takes_plain_text_and_keeps_bytes():
    """`stringData` becomes `data`; the type is `Opaque` unless said."""
    obj = {"metadata": {"name": "s"}, "stringData": {"a": "b"}}

    assert completed(obj, kind("", "v1", "Secret")) == {
        "metadata": {"name": "s"},
        "data": {"a": "Yg=="},
        "type": "Opaque",
    }


CRD = {
    "spec": {
        "group": "example.com",
        "names": {"kind": "Thing"},
        "versions": [
            {
                "name": "v1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size"],
                                "properties": {"size": {"type": "integer", "default": 3}},
                            }
                        },
                    }
                },
            }
        ],
    }
}


def test_a_custom_kind_answers_by_its_definition():
    """Pruned, defaulted and validated by the schema of the definition, until it is forgotten."""
    schemas = Schemas()
    schemas.define(CRD)
    thing = schemas.lookup("example.com", "v1", "Thing")
    assert thing is not None
    obj = {"metadata": {"name": "t"}, "spec": {"junk": 1}}

    assert schemas.decode(thing, obj) == ['unknown field "spec.junk"']
    schemas.default(thing, obj)
    assert obj["spec"] == {"size": 3}
    obj["spec"]["size"] = "big"
    assert [cause.message for cause in schemas.validate(thing, obj, None)] == [
        'Invalid value: "string": spec.size in body must be of type integer: "string"'
    ]

    schemas.forget("example.com", "Thing")
    assert schemas.lookup("example.com", "v1", "Thing") is None
