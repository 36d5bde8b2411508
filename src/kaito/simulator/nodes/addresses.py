"""Addresses for pods and machines, each handed out once until it is given back."""

import ipaddress
from collections.abc import Iterable
from typing import final


@final
class Addresses:
    """Hands out addresses of a network, the lowest that was not used for longest."""

    def __init__(self, network: str, *, first: int = 4) -> None:
        """`first`: how many addresses at the beginning stay unused; Azure reserves four."""
        self._network = ipaddress.ip_network(network)
        self._next = first
        self._first = first
        self._owners: dict[str, str] = {}
        self._of: dict[str, str] = {}

    def claim(self, owner: str, address: str) -> None:
        """Note that somebody has this address already."""
        self._owners[address] = owner
        self._of[owner] = address

    def of(self, owner: str) -> str:
        """The owner's address, given to it now if it has none. Raises OSError when all are used."""
        if owner in self._of:
            return self._of[owner]
        for number in self._candidates():
            address = str(self._network[number])
            if address not in self._owners:
                self._next = number + 1
                self.claim(owner, address)
                return address
        raise OSError(f"no address left in {self._network}")

    def release(self, owner: str) -> None:
        address = self._of.pop(owner, None)
        if address is not None:
            self._owners.pop(address, None)

    def _candidates(self) -> Iterable[int]:
        last = self._network.num_addresses - 1
        yield from range(min(self._next, last), last)
        yield from range(self._first, min(self._next, last))
