"""When a live object already is what is intended, and where it is not."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaito.kube.containment import ListKeys, contains, differences
from kaito.kube.objects import record_of

CONTAINER = {
    "name": "main",
    "image": "x:1",
    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    "ports": [{"containerPort": 80}],
    "resources": {"limits": {"cpu": "0.5", "memory": "1024Mi", "nvidia.com/gpu": 1}},
    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
}


def workload(**pod):
    spec = {"containers": [CONTAINER], **pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": "a",
            "namespace": "b",
            "labels": {"x.io/app": "a"},
            "finalizers": ["x.io/keep"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "o"}],
        },
        "spec": {"replicas": 1, "template": {"spec": spec}},
    }


def as_stored(intent):
    """What the server makes of it: defaults, canonical quantities, other people's fields."""
    live = copy.deepcopy(intent)
    live["metadata"] |= {"uid": "u", "resourceVersion": "7", "generation": 1}
    live["metadata"]["labels"]["other"] = "y"
    live["spec"]["revisionHistoryLimit"] = 10
    live["status"] = {"replicas": 1}
    pod = live["spec"]["template"]["spec"]
    pod["restartPolicy"] = "Always"
    [container] = pod["containers"]
    container["imagePullPolicy"] = "IfNotPresent"
    container["env"].insert(0, {"name": "INJECTED", "value": "z"})
    container["ports"][0]["protocol"] = "TCP"
    container["resources"]["limits"] = {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"}
    pod["containers"].insert(0, {"name": "sidecar", "image": "proxy"})
    return live


def test_what_the_server_stored_contains_what_was_sent():
    """Defaults, injected members and canonical quantities are no differences."""
    intent = workload()

    assert differences(as_stored(intent), intent) == []
    assert contains(as_stored(intent), intent)
    assert contains(record_of(as_stored(intent)), intent)


def change(live, path, value):
    *parents, last = path
    for step in parents:
        live = live[step]
    live[last] = value


POD = ("spec", "template", "spec")
MAIN = (*POD, "containers", 1)


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("spec", "replicas"), 2, "spec.replicas"),
        (
            (*MAIN, "image"),
            "x:2",
            "spec.template.spec.containers[name=main].image",
        ),
        (
            (*MAIN, "env", 1, "value"),
            "9",
            "spec.template.spec.containers[name=main].env[name=A].value",
        ),
        (
            (*MAIN, "ports"),
            [{"containerPort": 80, "protocol": "UDP"}],
            "spec.template.spec.containers[name=main].ports[containerPort=80,protocol=TCP]",
        ),
        (
            (*MAIN, "resources", "limits", "nvidia.com/gpu"),
            "2",
            "spec.template.spec.containers[name=main].resources.limits['nvidia.com/gpu']",
        ),
        (
            (*MAIN, "volumeMounts", 0, "mountPath"),
            "/w",
            "spec.template.spec.containers[name=main].volumeMounts[mountPath=/v]",
        ),
        (("metadata", "labels"), None, "metadata.labels['x.io/app']"),
        (("metadata", "labels"), {}, "metadata.labels['x.io/app']"),
        ((*POD, "containers"), [], "spec.template.spec.containers[name=main]"),
        ((*POD, "containers"), "text", "spec.template.spec.containers"),
    ],
)
def test_a_change_of_an_intended_field_is_found_and_named(path, value, where):
    """The path says where; the value is not told."""
    intent = workload()
    live = as_stored(intent)
    change(live, path, value)

    assert differences(live, intent) == [where]
    assert not contains(live, intent)
    assert not contains(record_of(live), intent)


def test_an_atomic_list_counts_whole():
    """Order and number matter, but members may have been defaulted."""
    toleration = {"key": "a", "operator": "Exists"}
    intent = workload(tolerations=[toleration])
    live = as_stored(intent)
    live["spec"]["template"]["spec"]["tolerations"] = [toleration | {"effect": "NoSchedule"}]
    assert contains(live, intent)

    live["spec"]["template"]["spec"]["tolerations"].append({"key": "b"})
    assert differences(live, intent) == ["spec.template.spec.tolerations"]

    intent = workload(command=["a", "b"])
    live = as_stored(intent)
    live["spec"]["template"]["spec"]["command"] = ["b", "a"]
    assert differences(live, intent) == [
        "spec.template.spec.command[0]",
        "spec.template.spec.command[1]",
    ]


def test_a_set_counts_by_membership():
    """Others may add finalizers; ours must be there."""
    intent = {"metadata": {"finalizers": ["ours"]}}

    assert contains({"metadata": {"finalizers": ["theirs", "ours"]}}, intent)
    assert differences({"metadata": {"finalizers": ["theirs"]}}, intent) == ["metadata.finalizers"]


@pytest.mark.parametrize("nothing", [None, False, 0, "", [], {}])
def test_an_intended_nothing_equals_an_absent_field(nothing):
    """The server drops `tolerations: []`, `hostNetwork: false`, and the like."""
    assert contains({"spec": {}}, {"spec": {"x": nothing}})
    assert contains({}, {"spec": {"x": nothing}})
    assert contains({"spec": {"x": nothing}}, {"spec": {"x": nothing}})


def test_a_choice_that_is_empty_must_be_there():
    """`emptyDir: {}` says which kind of volume it is."""
    intent = workload(volumes=[{"name": "v", "emptyDir": {}}])
    live = as_stored(intent)
    live["spec"]["template"]["spec"]["volumes"] = [{"name": "v", "emptyDir": {"medium": "Memory"}}]
    assert contains(live, intent)

    live["spec"]["template"]["spec"]["volumes"] = [{"name": "v", "configMap": {"name": "x"}}]
    assert differences(live, intent) == ["spec.template.spec.volumes[name=v].emptyDir"]


@pytest.mark.parametrize(
    ("live", "intent"),
    [(1, 0), (True, False), ("x", ""), (["x"], []), (0, False), ("x", None), ({"a": 1}, [])],
)
def test_an_intended_nothing_is_not_something(live, intent):
    """Where the live field holds a value, an intended zero or empty list is a difference."""
    assert differences({"spec": {"x": live}}, {"spec": {"x": intent}}) == ["spec.x"]


def test_an_empty_map_or_keyed_list_asks_for_nothing():
    """Only the fields of the intent count, and there are none."""
    assert contains({"spec": {"selector": {"a": "b"}}}, {"spec": {"selector": {}}})
    live, intent = as_stored(workload()), workload()
    intent["spec"]["template"]["spec"]["containers"] = []
    assert contains(live, intent)


def test_quantities_compare_by_amount_only_where_there_are_quantities():
    """An argument or a label that looks like a quantity is text."""
    assert contains(
        {"spec": {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}]}},
        {"spec": {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1024Mi"}}]}},
    )
    assert contains({"status": {"capacity": {"cpu": "2"}}}, {"status": {"capacity": {"cpu": 2}}})
    assert not contains(
        {"metadata": {"labels": {"a": "1"}}}, {"metadata": {"labels": {"a": "1000m"}}}
    )
    assert not contains({"spec": {"x": "1"}}, {"spec": {"x": 1}})
    assert not contains({"spec": {"limits": {"cpu": "odd"}}}, {"spec": {"limits": {"cpu": "1"}}})


def test_int_or_strings_compare_by_text():
    """A port may be written as a number or as its digits."""
    live = {"spec": {"ports": [{"port": 80, "protocol": "TCP", "targetPort": 5000}]}}

    assert contains(live, {"spec": {"ports": [{"port": 80, "targetPort": "5000"}]}})
    assert not contains(live, {"spec": {"ports": [{"port": 80, "targetPort": "http"}]}})


def test_true_is_not_one():
    """JSON tells them apart."""
    assert not contains({"spec": {"x": True}}, {"spec": {"x": 1}})
    assert not contains({"spec": {"x": 1}}, {"spec": {"x": True}})
    assert contains({"spec": {"x": 1.0}}, {"spec": {"x": 1}})


def test_a_custom_resource_has_the_lists_of_its_schema():
    """Maps and sets are what the schema says; everything else is atomic."""
    keys = ListKeys.of_schema(
        {
            "properties": {
                "spec": {
                    "properties": {
                        "parts": {
                            "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["id"],
                            "items": {"properties": {"tags": {"x-kubernetes-list-type": "set"}}},
                        },
                        "containers": {"type": "array"},
                    }
                }
            }
        }
    )
    live = {"spec": {"parts": [{"id": 2}, {"id": 1, "tags": ["a", "b"]}], "containers": [{}, {}]}}

    assert contains(live, {"spec": {"parts": [{"id": 1, "tags": ["b"]}]}}, keys)
    assert differences(live, {"spec": {"parts": [{"id": 1, "tags": ["c"]}]}}, keys) == [
        "spec.parts[id=1].tags"
    ]
    assert not contains(live, {"spec": {"containers": [{"name": "a"}]}}, keys)


NAMES = st.sampled_from(["name", "spec", "env", "limits", "x", "finalizers", "ports"])
SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "1", "500m"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)


@given(OBJECTS)
def test_everything_contains_itself(obj):
    """A written object that came back unchanged is converged."""
    assert differences(obj, copy.deepcopy(obj)) == [] or _has_duplicate_keys(obj)


def _has_duplicate_keys(value):
    """Lists with two members of one key, which the server refuses."""
    if isinstance(value, dict):
        return any(map(_has_duplicate_keys, value.values()))
    if isinstance(value, list):
        names = [m["name"] for m in value if isinstance(m, dict) and "name" in m]
        return any(names.count(n) > 1 for n in names) or any(map(_has_duplicate_keys, value))
    return False


@given(OBJECTS, OBJECTS)
def test_more_fields_do_no_harm(intent, extra):
    """Fields outside of the intent never count."""
    live = {**extra, **copy.deepcopy(intent)}

    assert contains(live, intent) == contains(copy.deepcopy(intent), intent)


@given(OBJECTS, OBJECTS)
def test_contains_means_no_differences(live, intent):
    """Both tell the same story, and neither crashes on any pair of objects."""
    assert contains(live, intent) == (differences(live, intent) == [])


@given(OBJECTS, OBJECTS, OBJECTS)
def test_containment_is_transitive_over_plain_objects(a, b, c):
    """What contains something that contains a third contains the third."""
    if contains(a, b) and contains(b, c) and not any(map(_has_nothing, (a, b, c))):
        assert contains(a, c)


def _has_nothing(value):
    """Empty values equal absence, which is not transitive."""
    if not value:
        return True
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(map(_has_nothing, inner))
