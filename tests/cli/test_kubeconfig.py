"""The kubeconfig on disk: private, atomic, and never over somebody else's."""

import stat
from pathlib import Path

import pytest
import yaml

from kaito.cli import kubeconfig
from kaito.cli.failure import REFUSED, Failure
from kaito.cli.kubeconfig import Access

ACCESS = Access(server="https://127.0.0.1:1", ca_pem=b"ca", token="t")


def test_only_its_owner_can_read_it(tmp_path):
    """The file is made with mode 0600 and has what kubectl needs."""
    path = tmp_path / "config"

    kubeconfig.write(path, kubeconfig.text(ACCESS))

    config = yaml.safe_load(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert config["clusters"][0]["cluster"]["server"] == ACCESS.server
    assert config["users"][0]["user"] == {"token": "t"}
    assert [file.name for file in tmp_path.iterdir()] == ["config"]


def test_ours_is_replaced_and_removed(tmp_path):
    """What kaito wrote it may write again, and takes away in the end."""
    path = tmp_path / "config"
    kubeconfig.write(path, kubeconfig.text(ACCESS))
    newer = kubeconfig.text(Access(server="https://127.0.0.1:2", ca_pem=b"ca", token="t"))

    kubeconfig.write(path, newer)

    assert path.read_text() == newer
    kubeconfig.remove(path, newer)
    assert not path.exists()


def test_a_file_of_somebody_else_stays(tmp_path):
    """Neither written over nor removed, and the refusal is one line."""
    path = tmp_path / "config"
    path.write_text("apiVersion: v1\n")

    with pytest.raises(Failure, match="was not written by kaito") as refused:
        kubeconfig.write(path, kubeconfig.text(ACCESS))

    kubeconfig.remove(path, kubeconfig.text(ACCESS))
    assert refused.value.code == REFUSED
    assert path.read_text() == "apiVersion: v1\n"
    assert [file.name for file in tmp_path.iterdir()] == ["config"]


def test_one_written_by_another_cluster_meanwhile_is_not_removed(tmp_path):
    """Two clusters were told the same path: the first to stop leaves the second's file alone."""
    path = tmp_path / "config"
    mine = kubeconfig.text(ACCESS)
    kubeconfig.write(path, mine)
    theirs = kubeconfig.text(Access(server="https://127.0.0.1:2", ca_pem=b"ca", token="t"))
    kubeconfig.write(path, theirs)

    kubeconfig.remove(path, mine)

    assert path.read_text() == theirs


def test_the_own_kubeconfig_is_never_touched(tmp_path, monkeypatch):
    """`~/.kube/config` is refused by whatever name, even where it does not exist yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kube").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / ".kube" / "config")

    for path in (Path("~/.kube/config"), tmp_path / "link"):
        with pytest.raises(Failure, match="stays as it is"):
            kubeconfig.write(path, kubeconfig.text(ACCESS))

    assert not (tmp_path / ".kube" / "config").exists()


@pytest.mark.parametrize(("name", "words"), [(".", "is a directory"), ("no/such", "no directory")])
def test_what_cannot_be_a_file_is_refused(tmp_path, name, words):
    """A directory, and a file in a directory that is not there."""
    with pytest.raises(Failure, match=words):
        kubeconfig.write(tmp_path / name, "")


def test_access_keeps_its_secrets_to_itself():
    """Its repr, which may end in a traceback, has neither token nor key."""
    assert "secret" not in repr(
        Access(server="s", ca_pem=b"", token="secret", key_pem=b"secret", certificate_pem=b"")
    )
