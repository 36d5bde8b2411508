"""The other half of a contract: a real API server, without controllers or scheduler."""

from collections.abc import Iterator

import pytest

from tests.contract.apiserver.real import plane
from tests.controlplane import needed
from tests.controlplane.controlplane import ControlPlane


@pytest.fixture(scope="package")
def real() -> Iterator[ControlPlane]:
    """One for all of them, since it takes long to start: each works under names of its own."""
    with plane(needed.folder()) as up:
        yield up
