"""Pruning and defaulting."""

from kaito.kube.schema.structural import Schema, default, prune

SCHEMA = Schema(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "count": {"type": "integer", "default": 1},
                    "name": {"type": "string"},
                    "maybe": {"type": "string", "nullable": True},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "items": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {"port": {"type": "integer", "default": 80}},
                        },
                    },
                    "template": {
                        "type": "object",
                        "x-kubernetes-embedded-resource": True,
                        "properties": {"spec": {"type": "object"}},
                    },
                },
            }
        },
    }
)


def test_unknown_fields_are_dropped_and_named():
    """Pruning reports the path of everything it drops, the whole subtree as one."""
    obj = {
        "kind": "Thing",
        "metadata": {"name": "a", "colour": "red"},
        "spec": {
            "nope": {"deep": 1},
            "labels": {"any": "thing"},
            "free": {"kept": {"x": 1}},
            "items": [{"port": 1}, {"port": 2, "extra": True}],
        },
        "other": 1,
    }

    dropped = prune(obj, SCHEMA)

    assert dropped == ["metadata.colour", "other", "spec.items[1].extra", "spec.nope"]
    assert obj == {
        "kind": "Thing",
        "metadata": {"name": "a"},
        "spec": {
            "labels": {"any": "thing"},
            "free": {"kept": {"x": 1}},
            "items": [{"port": 1}, {"port": 2}],
        },
    }


def test_an_embedded_resource_keeps_its_own_head():
    """apiVersion, kind and known metadata of an embedded resource are not pruned."""
    template = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "x": 1}, "junk": 1}
    obj = {"spec": {"template": template}}

    dropped = prune(obj, SCHEMA)

    assert dropped == ["spec.template.junk", "spec.template.metadata.x"]
    assert template == {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}


def test_defaults_fill_only_what_is_there():
    """A default inside an absent object does not create that object."""
    empty: dict = {}
    obj: dict = {"spec": {"items": [{}]}}

    default(empty, SCHEMA)
    default(obj, SCHEMA)

    assert empty == {}
    assert obj == {"spec": {"count": 1, "items": [{"port": 80}]}}


def test_a_null_that_is_not_allowed_counts_as_absent():
    """Nulls give way to the default, or vanish; a nullable field keeps its null."""
    obj = {"spec": {"count": None, "name": None, "maybe": None}}

    default(obj, SCHEMA)

    assert obj == {"spec": {"count": 1, "maybe": None}}


def test_defaults_are_never_shared():
    """Two objects do not share one mutable default."""
    schema = Schema({"properties": {"tags": {"type": "array", "default": ["a"]}}})
    first: dict = {}
    second: dict = {}

    default(first, schema)
    default(second, schema)
    first["tags"].append("b")

    assert second == {"tags": ["a"]}
