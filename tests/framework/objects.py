"""Small objects for the tests of this room."""

from kaito.kube.objects import Json, Record, Resource, record_of

WIDGETS = Resource("example.org", "v1", "widgets", "Widget")
GADGETS = Resource("example.org", "v1", "gadgets", "Gadget")


def widget(
    name: str,
    version: int | str = "",
    *,
    namespace: str = "ns",
    uid: str = "",
    kind: str = "Widget",
    labels: dict[str, str] | None = None,
    **fields: object,
) -> Json:
    """A Widget as a server would send it; without a version, as a client would."""
    metadata: Json = {"name": name, "namespace": namespace}
    if version:
        metadata |= {"uid": uid or f"uid-{namespace}-{name}", "resourceVersion": str(version)}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "example.org/v1", "kind": kind, "metadata": metadata, **fields}


def widget_record(name: str, version: int | str, **arguments: object) -> Record:
    return record_of(widget(name, version, **arguments))  # type: ignore[arg-type]  # passed through
