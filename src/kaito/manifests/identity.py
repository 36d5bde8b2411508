"""Who the rendered objects belong to, and how they are named."""

import hashlib
from dataclasses import dataclass

from kaito.api.names import Label
from kaito.api.resources import WORKSPACES
from kaito.kube.objects import Json

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
CLAIM_NAME_RANDOM = 10
"""Characters after `ws`. An AKS pool's name has at most 12, and a claim bears its pool's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The Workspace that everything rendered belongs to."""

    namespace: str
    name: str
    uid: str

    @property
    def labels(self) -> dict[str, str]:
        """What every child in the Workspace's namespace carries."""
        return {Label.WORKSPACE: self.name}

    @property
    def node_labels(self) -> dict[str, str]:
        """What the machines of this Workspace carry, and its pods ask for."""
        return {
            Label.WORKSPACE: self.name,
            Label.WORKSPACE_NAMESPACE: self.namespace,
        }

    def metadata(self, name: str) -> Json:
        """Metadata of a child: owned, so that it goes when the Workspace goes."""
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": self.labels,
            "ownerReferences": [self.owner_reference],
        }

    @property
    def owner_reference(self) -> Json:
        return {
            "apiVersion": WORKSPACES.api_version,
            "kind": WORKSPACES.kind,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }


def claim_name(uid: str, number: int) -> str:
    """The name of a Workspace's claim number `number` (0, 1, ...), and of its AKS pool.

    `ws` and ten characters of [a-z0-9] from sha256 over the Workspace's UID and the number: the
    same claim always gets the same name, so a repeated create is a no-op.
    """
    value = int.from_bytes(hashlib.sha256(f"{uid}/{number}".encode()).digest(), "big")
    characters = []
    for _ in range(CLAIM_NAME_RANDOM):
        value, index = divmod(value, len(_ALPHABET))
        characters.append(_ALPHABET[index])
    return "ws" + "".join(characters)
