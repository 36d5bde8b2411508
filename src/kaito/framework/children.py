"""Objects that belong to another: what every operator writes around the part that is its own."""

from collections.abc import Mapping
from typing import final

from kaito.framework.applying import (
    ApplyOptions,
    Created,
    NameConflict,
    Outcome,
    Updated,
    ensure,
)
from kaito.framework.consistent import ConsistentClient
from kaito.framework.ownership import set_controller
from kaito.framework.recorder import Recorder
from kaito.kube.objects import Json, Record, Resource, key_of


def child(
    owner: Record,
    resource: Resource,
    content: Json,
    *,
    name: str = "",
    labels: Mapping[str, str] | None = None,
) -> Json:
    """An intent: `content` as an object of kind `resource` in the owner's namespace, controlled
    by the owner, and named like it unless `name` says otherwise.

    Raises ValueError where the owner has a namespace and the kind has none: the garbage collector
    would delete such an object at once.
    """
    metadata: Json = {"name": name or owner.meta.name}
    if resource.namespaced:
        metadata["namespace"] = owner.meta.namespace
    if labels:
        metadata["labels"] = dict(labels)
    head = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
    intent = {**head, **content}
    set_controller(intent, owner)
    return intent


@final
class Children:
    """Keeps the objects of an owner as intended, and tells in events what that took.

    The cache must hold the kinds of the children: a source `owned_by` sees to that.
    """

    def __init__(
        self,
        client: ConsistentClient,
        recorder: Recorder,
        *,
        field_manager: str,
        options: ApplyOptions | None = None,
    ) -> None:
        """The hash of what was applied is kept in `<field manager>/applied` unless `options` say
        otherwise."""
        self._client = client
        self._recorder = recorder
        self._field_manager = field_manager
        self._options = options or ApplyOptions(hash_annotation=f"{field_manager}/applied")

    async def keep(self, owner: Record, intents: Mapping[Resource, Json]) -> list[Outcome]:
        """`applying.ensure` for each, in order. Raises what it raises; the rest is then left."""
        return [await self._keep(owner, kind, intent) for kind, intent in intents.items()]

    async def _keep(self, owner: Record, kind: Resource, intent: Json) -> Outcome:
        outcome = await ensure(
            self._client,
            kind,
            intent,
            owner_uid=owner.meta.uid,
            field_manager=self._field_manager,
            options=self._options,
        )
        what = f"{kind.kind} {key_of(intent).name}"
        match outcome:
            case Created():
                self._tell(owner, "Created", f"created {what}")
            case Updated():
                self._tell(owner, "Updated", f"corrected {what}")
            case NameConflict(owner=other):
                self._tell(owner, "NameConflict", f"{what} belongs to {other}")
            case _:
                pass
        return outcome

    def _tell(self, owner: Record, reason: str, message: str) -> None:
        self._recorder.event(
            owner,
            type="Warning" if reason == "NameConflict" else "Normal",
            reason=reason,
            message=message,
            action="Apply",
        )
