"""What a cache tells its handlers: three things can happen to an object.

They are msgspec structs without garbage-collector tracking because one is made per watch event.
"""

import msgspec

from kaito.kube.objects import Record


class Added(msgspec.Struct, frozen=True, gc=False):
    """An object came into view."""

    record: Record
    initial: bool = False
    """It was there when the handler started to listen, so this is no news about the world."""


class Updated(msgspec.Struct, frozen=True, gc=False):
    """An object changed; or, on a resync, it did not, and `old` is `new`. The uid is the same."""

    old: Record
    new: Record

    @property
    def record(self) -> Record:
        return self.new


class Deleted(msgspec.Struct, frozen=True, gc=False):
    """An object is gone, or left the selector of the cache."""

    record: Record
    """The last state: what the server sent with the deletion, or what was cached."""
    tombstone: bool = False
    """The deletion itself was not seen: a relist, or a successor of the same name, showed it."""


Event = Added | Updated | Deleted
"""`record` is the newest known state in all three."""
