"""Every test here runs twice: in an embedded cluster and on a real control plane."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.contract.workloads import scene as scenes
from tests.contract.workloads.scene import Scene
from tests.controlplane import needed, programs
from tests.controlplane.controlplane import ControlPlane, Options

_BOTH = [
    "embedded",
    pytest.param("real", marks=[pytest.mark.realtime, pytest.mark.controlplane]),
]


@pytest.fixture(scope="package")
def plane() -> Iterator[ControlPlane]:
    folder = needed.folder()
    if not programs.has_controllers(folder):
        pytest.skip(f"there are no controllers in {folder}: `make controlplane` builds them")
    with (
        TemporaryDirectory() as state,
        ControlPlane(folder, Path(state), Options(accounts=True)) as up,
    ):
        yield up


@pytest.fixture(params=_BOTH)
def scene(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Scene]:
    if request.param == "embedded":
        return scenes.embedded()
    return scenes.real(request.getfixturevalue("plane"))
