"""kubectl shows on the embedded cluster what it shows on a real control plane, word for word."""

import difflib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.kubectl import clusters, found, session
from tests.contract.kubectl.clusters import Site
from tests.controlplane import needed, programs

pytestmark = pytest.mark.realtime


@pytest.fixture(scope="module")
def kubectl() -> Path:
    """A kubectl of a version that is known, or one that was asked for."""
    if why := found.why_not():
        pytest.skip(why)
    program = found.program()
    assert program is not None
    return program


@pytest.fixture(scope="module")
def embedded(kubectl: Path) -> Iterator[Site]:
    with clusters.embedded() as site:
        yield site


@pytest.fixture(scope="module")
def real(kubectl: Path) -> Iterator[Site]:
    folder = needed.folder()
    if not programs.has_controllers(folder):
        pytest.skip(f"there are no controllers in {folder}: `make controlplane` builds them")
    with clusters.real(folder) as site:
        yield site


def _compare(name: str, site: Site, kubectl: Path, folder: Path) -> None:
    recorded = session.answers_path(name).read_text()
    played = session.Session(name, site, kubectl, folder).play()
    if played != recorded:
        lines = difflib.unified_diff(
            recorded.splitlines(), played.splitlines(), "recorded", "played", lineterm="", n=6
        )
        pytest.fail("\n".join(lines), pytrace=False)


@pytest.mark.parametrize("name", session.names())
def test_the_embedded_cluster(name: str, embedded: Site, kubectl: Path, tmp_path: Path) -> None:
    """Every command shows what it showed on the real control plane."""
    _compare(name, embedded, kubectl, tmp_path)


@pytest.mark.controlplane
@pytest.mark.parametrize("name", session.names())
def test_the_real_control_plane(name: str, real: Site, kubectl: Path, tmp_path: Path) -> None:
    """The recording is what the real one shows today."""
    _compare(name, real, kubectl, tmp_path)
