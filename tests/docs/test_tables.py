"""Tables that mirror the code: reasons, and dependencies."""

import ast
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from kaito.api import names
from kaito.controllers.nodeclaim import words
from kaito.provisioner import cloud
from tests.docs.reading import ROOT, rows

PAGE = ROOT / "docs/troubleshooting.md"
TABLES = (
    "Somebody has to edit",
    "Somebody has to create",
    "## Machines",
    "## Progress and success",
    "## An update is available",
    "KAITO's own reasons",
    "## Pods",
    "## Events only",
)


def sentences(module: object, class_name: str) -> dict[str, str]:
    """Value → docstring of every constant of a class, read from the source."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    (found,) = [
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name
    ]
    return {
        line.value.value: " ".join(text.value.value.split())
        for line, text in zip(found.body, found.body[1:], strict=False)
        if isinstance(line, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def codes(cell: str) -> list[str]:
    return re.findall(r"`([A-Za-z]+)`", cell)


def test_every_reason_is_explained() -> None:
    """Each reason has one row: its sentence from the source, and a next step."""
    explained = {codes(row[0])[0]: row[1:] for table in TABLES for row in rows(PAGE, table)}
    wanted = sentences(names, "Reason")
    assert wanted
    for reason, sentence in wanted.items():
        assert reason in explained, f"| `{reason}` | {sentence} | ... |"
        assert explained[reason][0] == sentence
        assert explained[reason][1]
    assert set(explained) == set(wanted)


@pytest.mark.parametrize("module", [names, words], ids=lambda module: module.__name__)
def test_every_reason_is_given(module: ModuleType) -> None:
    """Nobody looks for the cure of what never happens: each reason is used somewhere."""
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    used = set(re.findall(r"\bReason\.([A-Z_]+)\b", source))
    assert {name for name in vars(module.Reason) if name.isupper()} <= used


def test_every_refusal_of_the_cloud_is_explained() -> None:
    """Reasons of the cloud's errors become reasons of Workspaces, so they are here too."""
    explained = {codes(row[0])[0] for row in rows(PAGE, "## The cloud")}
    assert explained == {error.reason for error in cloud.CloudError.__subclasses__()}


def test_every_reason_of_a_claim_is_explained() -> None:
    """A claim's conditions and events use no word that is not here."""
    explained = {code for row in rows(PAGE, "## Claims and nodes") for code in codes(row[0])}
    wanted = {value for key, value in vars(words.Reason).items() if key.isupper()}
    assert explained == wanted


@pytest.mark.parametrize(
    ("heading", "of"),
    [
        ("## To run", ("project", "dependencies")),
        ("## To build", ("dependency-groups", "build")),
        ("## To develop", ("dependency-groups", "dev")),
    ],
)
def test_every_dependency_has_a_reason(heading: str, of: tuple[str, str]) -> None:
    """The tables are exactly what pyproject.toml takes, each with a reason."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    taken = {re.split(r"[<>=\[ ]", line)[0] for line in project[of[0]][of[1]]}
    explained = {row[0].strip("`"): row[1] for row in rows(ROOT / "docs/dependencies.md", heading)}
    assert set(explained) == taken
    assert all(explained.values())


def test_every_extra_has_a_reason() -> None:
    """An extra is a dependency, too; the table has exactly those that there are."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    listed = rows(ROOT / "docs/dependencies.md", "## Extras")
    assert {(row[0].strip("`"), row[1].strip("`")) for row in listed} == {
        (extra, re.split(r"[<>=\[ ]", line)[0]) for extra, lines in extras.items() for line in lines
    }
    assert all(row[2] for row in listed)
