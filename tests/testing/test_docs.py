"""What docs/framework.md prints is the code, and its tables are the code's names and numbers."""

import dataclasses
import re
from importlib import import_module
from pathlib import Path
from random import Random

from kaito.framework.leader import LeaderOptions
from kaito.framework.manager import Manager, ManagerOptions
from kaito.framework.program import _parser
from tests.docs.reading import ROOT, blocks, rows
from tests.testing.example import PAGE_FILE

PAGE = ROOT / "docs" / "framework.md"


def test_the_operator_is_printed_as_it_is():
    """The page's listing and the file are one text."""
    printed = [block.text for block in blocks(PAGE) if block.language == "py"]
    assert printed == [PAGE_FILE.read_text(encoding="utf-8")]


async def test_the_table_of_metrics_is_complete(embedded_api):
    """Exactly what a manager exports, with its type."""
    async with embedded_api() as api:
        options = ManagerOptions(
            leader=LeaderOptions(namespace="n", name="l"), request_details=True
        )
        manager = Manager(api.transport(), clock=api.clock, random=Random(1), options=options)
        exported = {
            (family.name + ("_total" if family.type == "counter" else ""), family.type)
            for family in manager.registry.collect()
        }
    printed = {(row[0].strip("`"), row[1]) for row in rows(PAGE, "## Metrics")}
    assert printed == exported


def test_the_constants_are_those_of_the_code():
    """Each default that is listed is the one that is used."""
    listed = rows(PAGE, "## Constants")
    assert listed
    for path, value, _ in listed:
        module, options, name = path.strip("`").split(".")
        found = getattr(import_module(f"kaito.framework.{module}"), options)
        (default,) = [f.default for f in dataclasses.fields(found) if f.name == name]
        assert f"{default:g}" == value, path


def test_the_flags_that_are_named_exist():
    """Every `--flag` of the page is one of a program's; kubectl's are on lines of its own."""
    page = PAGE.read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if not line.startswith("kubectl")]
    named = set(re.findall(r"--[a-z][a-z-]+", "\n".join(lines))) - {"--help"}
    assert len(named) >= 4
    assert named <= set(_parser("x", True)._option_string_actions)


def test_every_module_of_the_tour_exists():
    """The tour names modules by their names."""
    for row in rows(PAGE, "## The tour"):
        import_module(f"kaito.{row[1].strip('`')}")


def test_the_fixtures_that_are_listed_exist():
    """And the methods of `api` and of its fault plan."""
    from kaito.testing import fixtures
    from kaito.testing.faults import FaultPlan

    page = Path(ROOT / "docs" / "testing.md")
    for row in rows(page, "## Virtual time"):
        kind, name = row[0].split()[0], row[0].split("`")[1]
        assert kind != "fixture" or hasattr(fixtures, name)
    for row in rows(page, "## Faults"):
        assert hasattr(FaultPlan, row[0].strip("`").split("(")[0])
