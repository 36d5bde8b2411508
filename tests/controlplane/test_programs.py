"""Where the programs of a real control plane are found, and what was recorded from them."""

import pytest

from kaito.apiserver.builtin.library import library
from tests.controlplane import needed, programs


def pretend(folder, *names):
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


@pytest.fixture(autouse=True)
def _nothing_built(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("KAITO_CONTROLPLANE", "KUBEBUILDER_ASSETS", needed.REQUIRED):
        monkeypatch.delenv(name, raising=False)


def test_the_recording_is_of_the_pinned_version():
    """Whoever changes the pins records again."""
    assert library().version == programs.version()


def test_what_is_named_comes_first(monkeypatch, tmp_path):
    """`KAITO_CONTROLPLANE` before the build, the build before `KUBEBUILDER_ASSETS`."""
    assets = pretend(tmp_path / "assets", *programs.SERVERS)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    assert programs.find() == assets
    assert not programs.has_controllers(assets)

    programs.cache().mkdir(parents=True)
    built = pretend(programs.built(), *programs.SERVERS, *programs.CONTROLLERS)
    assert programs.find() == built
    assert programs.has_controllers(built)

    named = pretend(tmp_path / "named", *programs.SERVERS)
    monkeypatch.setenv("KAITO_CONTROLPLANE", str(named))
    assert programs.find() == named


def test_a_folder_without_a_server_is_none(monkeypatch, tmp_path):
    """Half of the programs is nothing."""
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(pretend(tmp_path / "assets", "etcd")))

    assert programs.find() is None


def test_what_needs_a_control_plane_is_skipped_or_fails(monkeypatch):
    """Skipped with a reason; where one is required, failed with it."""
    with pytest.raises(pytest.skip.Exception, match="make controlplane"):
        needed.folder()

    monkeypatch.setenv(needed.REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="make controlplane"):
        needed.folder()
