"""`kaito generate`: generated files are exactly what their sources say."""

import shutil
from pathlib import Path

import pytest

from kaito.cli import main

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["generate", *arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what is generated, and of the one source that is a file."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    presets = tmp_path / "src/kaito/presets"
    presets.mkdir(parents=True)
    for name in ("models.yaml", "_compiled.py"):
        shutil.copy(ROOT / "src/kaito/presets" / name, presets)
    return tmp_path


def test_what_is_committed_is_fresh() -> None:
    """The files in the repository are what a run would write."""
    assert run("--check", "--root", str(ROOT)) == 0


@pytest.mark.parametrize(
    "name",
    ["crd/kaito.sh_workspaces", "rbac/operator", "policy/workspaces", "rbac/kustomization"],
)
def test_what_is_stale_is_named_and_written(tree: Path, name: str, capsys) -> None:
    """An edited file and a lost one fail the check by name; --write mends both."""
    path = tree / f"config/{name}.yaml"
    before = path.read_text(encoding="utf-8")
    for spoil in (lambda: path.write_text("edited", encoding="utf-8"), path.unlink):
        spoil()
        assert run("--check", "--root", str(tree)) == 1
        assert str(path) in capsys.readouterr().err
        assert run("--write", "--root", str(tree)) == 0
        assert path.read_text(encoding="utf-8") == before


def test_what_is_left_over_goes(tree: Path, capsys) -> None:
    """A file that nothing generates any more would be installed forever."""
    path = tree / "config/rbac/former.yaml"
    path.write_text("kind: ClusterRole", encoding="utf-8")
    assert run("--check", "--root", str(tree)) == 1
    assert str(path) in capsys.readouterr().err
    assert run("--write", "--root", str(tree)) == 0
    assert not path.exists()


def test_a_fresh_tree_is_left_alone(tree: Path) -> None:
    """Nothing is rewritten, so that make sees no change where there is none."""
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*") if path.is_file()}
    assert run("--write", "--root", str(tree)) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_elsewhere_it_writes_nothing(tmp_path: Path, capsys) -> None:
    """Outside the source tree it is a usage error."""
    assert run("--write", "--root", str(tmp_path)) == 2
    assert list(tmp_path.iterdir()) == []
    assert "not the source tree" in capsys.readouterr().err


def test_one_mode_must_be_chosen(capsys) -> None:
    """Neither --write nor --check: nothing is guessed."""
    assert run("--root", str(ROOT)) == 2
    assert "--check" in capsys.readouterr().err


def test_help_does_not_show_it(capsys) -> None:
    """It is for those who change kaito."""
    with pytest.raises(SystemExit):
        main(["-h"])
    assert "generate" not in capsys.readouterr().out
