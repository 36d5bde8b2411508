"""Who owns `replicas` when they are written through `scale`.

The owners of `replicas` in an object are those of its `Scale`. The real server writes no time for
who gets them; where nobody has them, or they are zero (which a `Scale` leaves out), nobody does.
"""

from typing import Final

from kaito.apiserver import fieldsets, managedfields
from kaito.apiserver.apply import apply
from kaito.apiserver.core import Call
from kaito.apiserver.fieldsets import FieldSet, Path
from kaito.apiserver.managedfields import UPDATE, Manager, Owned, Owners, Shape
from kaito.apiserver.options import WriteOptions
from kaito.apiserver.typed import ANYTHING, Type
from kaito.kube.objects import Json

VERSION: Final = "autoscaling/v1"
_REPLICAS: Final[Path] = (fieldsets.field("spec"), fieldsets.field("replicas"))


def apply_scale(
    call: Call, live: Json, scale: Json, config: Json, replicas: str, options: WriteOptions
) -> Json:
    """The `Scale` after an apply of `config`; `live` (whose `Scale` it was) with its new owners."""
    path = _path(replicas)
    owners = managedfields.read(live["metadata"].get("managedFields"))
    shown = {**scale, "metadata": {**scale["metadata"]}}
    entries = managedfields.write(_in_scale(owners, path))
    if entries:
        shown["metadata"]["managedFields"] = entries
    applied = apply(
        shown,
        config,
        manager=options.manager,
        force=options.force,
        shape=_shape(call),
        now=call.core.now(),
    ).obj
    after = managedfields.read(applied["metadata"].pop("managedFields", None))
    version = call.kind.resource.api_version
    live["metadata"]["managedFields"] = managedfields.write(
        _in_parent(owners, after, path, version)
    )
    return applied


def _path(replicas: str) -> Path:
    return tuple(fieldsets.field(step) for step in replicas.split("."))


def has_owner(obj: Json, replicas: str) -> bool:
    """Whether anybody owns the replicas of `obj`: else nobody does after a write to `scale`."""
    owners = managedfields.read(obj["metadata"].get("managedFields"))
    return any(_path(replicas) in owned.fields for owned in owners.values())


def disown_zero(obj: Json, replicas: str) -> None:
    """No `Scale` has a zero, so nobody owns it."""
    owners = managedfields.read(obj["metadata"].get("managedFields"))
    gone = _only(_path(replicas))
    kept = {m: Owned(o.fields.difference(gone), o.version, o.time) for m, o in owners.items()}
    entries = managedfields.write({m: owned for m, owned in kept.items() if owned.fields})
    obj["metadata"]["managedFields"] = entries


def _shape(call: Call) -> Shape:
    schema = call.core.schemas.lookup("autoscaling", "v1", "Scale")
    type_ = Type(ANYTHING if schema is None else schema.schema)
    return Shape(
        version=VERSION,
        type_of=lambda version: type_ if version == VERSION else None,
        ignored=FieldSet(),
        empty={"metadata": {}, "spec": {}, "status": {"replicas": 0}},
        subresource=call.target.subresource,
    )


def _in_scale(owners: Owners, path: Path) -> Owners:
    """Who owns the replicas, as owners of a `Scale`."""
    return {
        _renamed(manager, VERSION): Owned(_only(_REPLICAS), VERSION, owned.time)
        for manager, owned in owners.items()
        if path in owned.fields
    }


def _in_parent(before: Owners, after: Owners, path: Path, version: str) -> Owners:
    """The owners of the object, once `after` own the replicas of its `Scale`."""
    owners: Owners = {}
    for manager, owned in before.items():
        kept = path in owned.fields and _renamed(manager, VERSION) in after
        fields = owned.fields if kept else owned.fields.difference(_only(path))
        if fields:
            owners[manager] = Owned(fields, owned.version, owned.time)
    for manager, owned in after.items():
        known = _renamed(manager, version)
        if _REPLICAS in owned.fields and path not in _fields(owners, known):
            fields = _fields(owners, known).union(_only(path))
            owners[known] = Owned(fields, version)
    return owners


def _fields(owners: Owners, manager: Manager) -> FieldSet:
    owned = owners.get(manager)
    return FieldSet() if owned is None else owned.fields


def _renamed(manager: Manager, version: str) -> Manager:
    return manager._replace(version=version if manager.operation == UPDATE else "")


def _only(path: Path) -> FieldSet:
    fields = FieldSet()
    fields.insert(path)
    return fields
