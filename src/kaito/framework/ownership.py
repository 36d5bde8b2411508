"""Owner references: what the garbage collector deletes together with its owner."""

from kaito.kube.objects import Json, OwnerReference, Record, key_of


class AlreadyOwned(Exception):
    """Another object controls this one."""

    def __init__(self, owner: OwnerReference) -> None:
        super().__init__(f"controlled by {owner.kind} {owner.name} (uid {owner.uid})")
        self.owner = owner


def owner_reference(owner: Record, *, controller: bool = True) -> Json:
    """The reference to `owner`, blocking its foreground deletion."""
    return {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.meta.name,
        "uid": owner.meta.uid,
        "controller": controller,
        "blockOwnerDeletion": True,
    }


def set_controller(obj: Json, owner: Record) -> None:
    """Make `owner` the controller of an object that is about to be written.

    Raises AlreadyOwned when another is, and ValueError where the garbage collector would delete
    the object at once: an owner with a namespace owns nothing outside of it.
    """
    namespace, name = key_of(obj)
    if owner.meta.namespace and owner.meta.namespace != namespace:
        raise ValueError(
            f"{owner.kind} {owner.meta.key} cannot own {name}: it is not in its namespace"
        )
    metadata = obj.setdefault("metadata", {})
    references: list[Json] = metadata.setdefault("ownerReferences", [])
    for reference in references:
        if reference.get("controller") and reference.get("uid") != owner.meta.uid:
            raise AlreadyOwned(_owner(reference))
    references[:] = [entry for entry in references if entry.get("uid") != owner.meta.uid]
    references.append(owner_reference(owner))


def controlled_by(record: Record, owner: Record) -> bool:
    """Whether `owner`, this very object and not one of the same name, controls `record`."""
    reference = record.meta.controller
    return reference is not None and reference.uid == owner.meta.uid


def _owner(reference: Json) -> OwnerReference:
    return OwnerReference(
        api_version=reference.get("apiVersion", ""),
        kind=reference.get("kind", ""),
        name=reference.get("name", ""),
        uid=reference.get("uid", ""),
        controller=True,
    )
