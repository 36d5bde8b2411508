"""What controllers do to the cluster, as values, and the one place that does it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import final

from kaito.framework.consistent import ConsistentClient
from kaito.framework.recorder import Recorder
from kaito.kube.errors import ApiError, Conflict, NotFound
from kaito.kube.objects import Json, ObjectKey, Record, Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """An event about the object that is being reconciled."""

    reason: str
    message: str
    type: str = "Normal"
    action: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    resource: Resource
    obj: Json
    done: Note | None = None
    """Told when it worked; `{name}` in the message becomes the object's name."""
    failed: str = ""
    """The reason of the Warning when it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A merge patch."""

    resource: Resource
    key: ObjectKey
    uid: str
    patch: Json
    subresource: str = ""
    version: str = ""
    """With it, the patch is refused if anybody else was faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    resource: Resource
    key: ObjectKey
    uid: str
    grace: int | None = None
    propagation: str = "Background"
    done: Note | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Only an event."""

    note: Note = field(default_factory=lambda: Note(reason="", message=""))


Action = Create | Patch | Delete | Tell


@final
class Hands:
    """Carries out actions, in order.

    Nothing is made in a namespace that is going: that is no failure, and the rest is done.
    """

    def __init__(self, client: ConsistentClient, recorder: Recorder) -> None:
        self._client = client
        self._recorder = recorder

    async def do(self, regarding: Record, actions: Iterable[Action]) -> None:
        """Stops at the first action that the server refuses, and raises why."""
        for action in actions:
            match action:
                case Create():
                    await self._create(regarding, action)
                case Patch():
                    await self._patch(action)
                case Delete():
                    await self._delete(regarding, action)
                case Tell(note=note):
                    self.tell(regarding, note)

    def tell(self, regarding: Record, note: Note, name: str = "") -> None:
        self._recorder.event(
            regarding,
            type="Normal" if note.type == "Normal" else "Warning",
            reason=note.reason,
            message=note.message.replace("{name}", name),
            action=note.action or note.reason,
        )

    async def _create(self, regarding: Record, action: Create) -> None:
        try:
            created = await self._client.create(action.resource, action.obj)
        except ApiError as error:
            if _is_going(error):
                return
            if action.failed:
                message = f"Error creating: {error}"
                self.tell(regarding, Note(type="Warning", reason=action.failed, message=message))
            raise
        if action.done is not None:
            self.tell(regarding, action.done, created.meta.name)

    async def _patch(self, action: Patch) -> None:
        try:
            await self._client.merge_patch(
                action.resource,
                action.key,
                action.patch,
                uid=action.uid,
                resource_version=action.version,
                subresource=action.subresource,
            )
        except NotFound:
            return

    async def _delete(self, regarding: Record, action: Delete) -> None:
        try:
            await self._client.delete(
                action.resource,
                action.key,
                uid=action.uid,
                grace_seconds=action.grace,
                propagation=action.propagation,
            )
        except (NotFound, Conflict):
            # It is gone, or a namesake has taken its place.
            return
        if action.done is not None:
            self.tell(regarding, action.done, action.key.name)


def _is_going(error: ApiError) -> bool:
    """Whether the namespace is being deleted."""
    return any(cause.reason == "NamespaceTerminating" for cause in error.causes)


def status_patch(live: Json | None, wanted: Json) -> Json | None:
    """The merge patch that makes a status say `wanted`; None when it does already.

    A value of None in `wanted` means that the field is absent.
    """
    live = live or {}
    patch = {name: value for name, value in wanted.items() if live.get(name) != value}
    return {"status": patch} if patch else None
