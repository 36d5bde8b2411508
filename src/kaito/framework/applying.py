"""One object as it is intended to be: created, corrected, adopted, or left alone.

Server-side apply has edges, and each has its guard here:

- an apply of an absent object creates it; so does one of an object that was deleted meanwhile,
  unless its uid is sent: what is known is applied with its uid;
- an apply onto a stranger's object joins it, with force or without, where no field is contested:
  what is not known is applied with a version that no object has, which only an absent one lets
  pass, and after the conflict one live read decides whose it is;
- an apply onto an object that is being deleted succeeds and is lost: it is waited for instead;
- a converged object costs no request: an annotation holds a hash of the intent that was applied
  last, and the cached object is looked at for whether it still contains the intent;
- what admission changes on the way in is found in the answer, remembered, and not fought.

The cache of such a kind must hold whole objects.
"""

import hashlib
from dataclasses import dataclass
from typing import final

import msgspec

from kaito.framework.consistent import ConsistentClient
from kaito.framework.managed import taken_over
from kaito.kube.containment import ListKeys, differences
from kaito.kube.errors import Conflict
from kaito.kube.objects import Json, Record, Resource, key_of, record_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions:
    """How this program applies."""

    hash_annotation: str
    """The annotation that holds the hash of the intent."""
    adopt_managers: tuple[str, ...] = ()
    """Field managers of programs that wrote such objects before us and no longer do."""
    list_keys: ListKeys | None = None
    """Of a custom resource; built-in kinds are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """It was not in the cache and now exists."""

    record: Record
    rewritten: tuple[str, ...] = ()
    """Paths where the server stored something other than the intent; reported once per uid and
    intent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """It was there and has been applied again."""

    record: Record
    rewritten: tuple[str, ...] = ()
    adopted: bool = False
    """It had been written by someone else, for the same owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """It is as intended. Nothing was sent."""

    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminating:
    """An object of that name is being deleted. Nothing was done; the next run comes when it is
    gone."""

    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class NameConflict:
    """The name is taken by an object that is not ours. Nothing was written."""

    owner: str
    """Whose it is, in words for people."""


_NOBODY = "an owner that it does not name"

_ABSENT = "1"
"""A resourceVersion that no object has: an empty etcd is at 1, so its first object is at 2. In an
apply it is a precondition for an object that exists, and of no concern for one that does not."""

Outcome = Created | Updated | Unchanged | Terminating | NameConflict


def digest_of(intent: Json) -> str:
    """The hash of an intent: the same for equal JSON, whatever the order of its fields."""
    text = msgspec.json.encode(intent, order="deterministic")
    return hashlib.sha256(text).hexdigest()[:16]


async def ensure(
    client: ConsistentClient,
    resource: Resource,
    intent: Json,
    *,
    owner_uid: str,
    field_manager: str,
    options: ApplyOptions,
) -> Outcome:
    """Make the object be as `intent` says, if it is ours: controlled by the owner of that uid.

    `intent` must be canonical (as the server would store it), name its controller in
    `ownerReferences`, and is not modified. Raises what the server answers: Invalid when a field
    may not be changed, Conflict when the cache was too old, and so on.
    """
    step = _Step(client, resource, intent, owner_uid, field_manager, options)
    known = client.store(resource).get(key_of(intent))
    if known is None:
        return await step.first()
    if known.meta.deleting:
        return Terminating(record=known)
    if not step.ours(known):
        return NameConflict(owner=owner_of(known))
    if step.converged(known):
        return Unchanged(record=known)
    return await step.again(known)


@final
class _Step:
    """One intent on its way."""

    def __init__(
        self,
        client: ConsistentClient,
        resource: Resource,
        intent: Json,
        owner_uid: str,
        field_manager: str,
        options: ApplyOptions,
    ) -> None:
        self.client = client
        self.resource = resource
        self.owner_uid = owner_uid
        self.field_manager = field_manager
        self.options = options
        self.digest = digest_of(intent)
        self.intent = _stamped(intent, options.hash_annotation, self.digest)

    def ours(self, record: Record) -> bool:
        controller = record.meta.controller
        return controller is not None and controller.uid == self.owner_uid

    def converged(self, known: Record) -> bool:
        if known.meta.annotations.get(self.options.hash_annotation) != self.digest:
            return False
        if self.client.verified.holds(known.meta, self.digest):
            return True
        accepted = self.client.rewrites.accepted(known.meta.uid, self.digest)
        if not accepted.issuperset(self._differences(known)):
            return False
        self.client.verified.note(known.meta, self.digest)
        return True

    async def first(self) -> Outcome:
        """The object is not in the cache: create it, unless it exists."""
        metadata = {**self.intent["metadata"], "resourceVersion": _ABSENT}
        try:
            record = await self._apply({**self.intent, "metadata": metadata}, force=False)
        except Conflict as error:
            return await self._contested(error)
        return Created(record=record, rewritten=self._rewritten(record))

    async def again(self, known: Record) -> Outcome:
        """The object is ours and differs."""
        foreign = self._foreign(known)
        if foreign and self.options.adopt_managers:
            live = await self.client.get_live_json(self.resource, known.key)
            if live is not None and live["metadata"].get("uid") == known.meta.uid:
                await self._take_over(live)
        return await self._forced(known.meta.uid, adopted=foreign)

    async def _contested(self, error: Conflict) -> Outcome:
        """There is one that the cache does not show."""
        live = await self.client.get_live_json(self.resource, key_of(self.intent))
        if live is None:
            raise error
        record = record_of(live)
        if record.meta.deleting:
            return Terminating(record=record)
        if not self.ours(record):
            return NameConflict(owner=owner_of(record) if record.meta.owners else _writers(live))
        if self.converged(record):
            return Unchanged(record=record)
        await self._take_over(live)
        return await self._forced(record.meta.uid, adopted=self._foreign(record))

    def _foreign(self, record: Record) -> bool:
        """Whether it was never applied by this program."""
        return self.options.hash_annotation not in record.meta.annotations

    async def _take_over(self, live: Json) -> None:
        """Make the former managers' fields ours, so that leaving one out removes it."""
        metadata = live["metadata"]
        entries = taken_over(
            metadata.get("managedFields") or [], self.options.adopt_managers, self.field_manager
        )
        if entries is None:
            return
        await self.client.json_patch(
            self.resource,
            key_of(live),
            [{"op": "replace", "path": "/metadata/managedFields", "value": entries}],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            field_manager=self.field_manager,
        )

    async def _forced(self, uid: str, *, adopted: bool) -> Outcome:
        """Apply to this very object. Raises Conflict if another has its name by now."""
        metadata = {**self.intent["metadata"], "uid": uid}
        record = await self._apply({**self.intent, "metadata": metadata}, force=True)
        if record.meta.deleting:
            return Terminating(record=record)
        return Updated(record=record, rewritten=self._rewritten(record), adopted=adopted)

    async def _apply(self, intent: Json, *, force: bool) -> Record:
        return await self.client.apply(
            self.resource, intent, field_manager=self.field_manager, force=force
        )

    def _rewritten(self, record: Record) -> tuple[str, ...]:
        return self.client.rewrites.remember(
            record.meta.uid, self.digest, self._differences(record)
        )

    def _differences(self, record: Record) -> list[str]:
        return differences(record, self.intent, self.options.list_keys)


def owner_of(record: Record) -> str:
    """Whose object this is, by its references, for people."""
    owner = record.meta.controller or next(iter(record.meta.owners), None)
    return f"{owner.kind} {owner.name}" if owner else _NOBODY


def _writers(live: Json) -> str:
    """Who wrote an object that has no owner."""
    entries = live["metadata"].get("managedFields") or []
    names = sorted({entry.get("manager", "") for entry in entries} - {""})
    return ", ".join(names) or _NOBODY


def _stamped(intent: Json, annotation: str, digest: str) -> Json:
    metadata = intent.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), annotation: digest}
    return {**intent, "metadata": {**metadata, "annotations": annotations}}
