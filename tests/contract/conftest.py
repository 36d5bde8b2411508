"""The other half of a contract: a real control plane, without controllers or scheduler."""

from collections.abc import Iterator

import pytest

from tests.contract.apiserver.real import plane
from tests.controlplane import needed
from tests.controlplane.controlplane import ControlPlane


@pytest.fixture(scope="module")
def real() -> Iterator[ControlPlane]:
    """One for each file: what a file leaves behind is not found by another."""
    with plane(needed.folder()) as up:
        yield up
