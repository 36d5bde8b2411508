"""Requests drawn at random, for the embedded server and a real one to agree on.

A drawer is made of a seed and a namespace; the same seed draws the same. `setup` prepares what it
needs; `draws` are the requests whose answers are compared, one after the other.
"""

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple, Protocol

Json = dict[str, Any]
JSON = "application/json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Draw(NamedTuple):
    """One request; text is sent as it is."""

    method: str
    path: str
    body: Any = None
    media: str = JSON


class Drawer(Protocol):
    def __init__(self, seed: int, namespace: str) -> None: ...

    def setup(self) -> Iterator[Draw]:
        """What must exist first; a definition is waited for."""

    def draws(self, count: int) -> Iterator[Draw]: ...


class Chance:
    """Ways to draw that every drawer uses."""

    def __init__(self, seed: int, namespace: str) -> None:
        self.random = Random(seed)
        self.namespace = namespace
        self.group = f"{namespace}.io"

    def pick(self, letters: Any = "abc") -> Any:
        return self.random.choice(letters)

    def often(self, chance: float) -> bool:
        return self.random.random() < chance

    def maybe(self, into: Json, name: str, draw: Any, chance: float = 0.4) -> None:
        if self.often(chance):
            into[name] = draw()

    def map(self) -> Json:
        return {self.pick(): self.pick() for _ in range(self.random.randrange(3))}

    def some(self, draw: Any, *keys: str, least: int = 0) -> list[Json]:
        """A list whose items differ in `keys`."""
        drawn = [draw() for _ in range(self.random.randrange(least, 4))]
        return list({tuple(one.get(key, "TCP") for key in keys): one for one in drawn}.values())
