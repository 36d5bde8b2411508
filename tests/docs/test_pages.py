"""What the documentation says is so: links, commands, flags, names, numbers of things."""

import asyncio
import io
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random

import click
import pytest
from benchmarks.__main__ import EVERYTHING, PARTS
from prometheus_client import CollectorRegistry

from kaito import settings
from kaito.apiserver.catalog import KINDS
from kaito.cli import main
from kaito.cli.root import COMMANDS
from kaito.controllers import rbac
from kaito.kube.resources import BUILTIN
from tests.docs.reading import PAGES, ROOT, Block, anchors, blocks, links, prose, rows
from tests.testing import example

DOCS = ROOT / "docs"
ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]
SHELL = [block for block in ALL_BLOCKS if block.language in ("sh", "console")]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands_of(block: Block) -> Iterator[str]:
    """Command lines: continued ones joined; of a console only what follows the prompt."""
    joined = block.text.replace("\\\n", " ")
    for line in joined.splitlines():
        if block.language == "console" and not line.startswith("$ "):
            continue
        line = line.removeprefix("$ ").strip()
        if line and not line.startswith("#"):
            yield line


def words(line: str) -> list[str]:
    return shlex.split(line, comments=True)


# ---- links


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """A relative link is a file of this repository, and its anchor a heading there."""
    for target in links(page):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert file.is_relative_to(ROOT)
        assert not anchor or anchor in anchors(file), target


def test_the_readme_leads_to_every_page() -> None:
    """Nobody has to look for a page in a folder."""
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in links(ROOT / "README.md")}
    assert set(DOCS.glob("*.md")) <= linked


# ---- commands


RUNNABLE = [
    (block.page, line)
    for block in SHELL
    if "runnable" in block.words
    for line in commands_of(block)
]


@pytest.mark.parametrize(("page", "line"), RUNNABLE, ids=[line for _, line in RUNNABLE])
def test_commands_that_need_no_cluster_run(page: Path, line: str, monkeypatch) -> None:
    """A line of a block marked `runnable` succeeds as it is printed, from the repository."""
    monkeypatch.chdir(ROOT)
    program, *arguments = words(line)
    assert program == "kaito", f"{name(page)}: only kaito is run here"
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(arguments)
    assert (ended.value.code or 0) == 0, out.getvalue() + err.getvalue()


def kaito_lines() -> Iterator[tuple[Path, list[str]]]:
    """Every use of the program in a block or in inline code."""
    for block in SHELL:
        for line in commands_of(block):
            for part in line.split("|"):
                if part.strip().startswith("kaito "):
                    yield block.page, words(part)
    for page in PAGES:
        for code in re.findall(r"`(kaito [^`]+)`", prose(page)):
            yield page, code.replace("\\|", "|").split("|")[0].split()


KAITO_LINES = [(page, found) for page, found in kaito_lines() if found[:1] == ["kaito"]]


@pytest.mark.parametrize(
    ("page", "found"), KAITO_LINES, ids=[" ".join(found) for _, found in KAITO_LINES]
)
def test_commands_and_flags_exist(page: Path, found: list[str]) -> None:
    """Every command of the program that is named is there, with every flag that it is given."""
    arguments = [one for one in found[1:] if one != "-h"]
    if not arguments:
        return
    for command_name in arguments[0].split("/"):
        flags = flags_of(command_name)
        for argument in arguments[1:]:
            if argument.startswith("-") and argument != "-":
                assert argument.split("=")[0] in flags, f"{name(page)}: {argument}"


def flags_of(command_name: str) -> set[str]:
    hidden = import_module("kaito.cli.root").HIDDEN
    module = hidden.get(command_name) or COMMANDS[command_name][0]
    command = import_module(module).command
    assert isinstance(command, click.Command)
    return {
        flag
        for option in command.params
        if isinstance(option, click.Option)
        for flag in (*option.opts, *option.secondary_opts)
    }


def test_every_flag_of_run_is_explained() -> None:
    """The table of flags is complete, and has none that is gone."""
    explained = {
        flag
        for row in rows(DOCS / "operations.md", "## Flags")
        for flag in re.findall(r"`(--[a-z-]+)`", row[0])
    }
    command = import_module("kaito.cli.run").command
    visible = {
        flag
        for option in command.params
        if not option.hidden
        for flag in (*option.opts, *option.secondary_opts)
    }
    assert explained == visible - {"-h", "--help"}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_targets_exist(page: Path) -> None:
    """Whoever types what a page says gets something else than `No rule to make target`."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^    |`|\$ )make ([a-z0-9-]+)", text, re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_folders_that_are_applied_exist(page: Path) -> None:
    """`kubectl apply -k` and `-f` name what is here."""
    for block in blocks(page):
        for path in re.findall(r"kubectl \w+ -[kf] ([\w/.-]+)", block.text):
            assert path == "-" or (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_modules_that_are_run_exist(page: Path) -> None:
    """`python -m` names a module, and `make bench WHAT=` parts of the table."""
    text = page.read_text(encoding="utf-8")
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert find_spec(module.rstrip(".")), module
    parts = {part.name for part in PARTS} | {EVERYTHING}
    for named in re.findall(r'WHAT=(?:"([^"]+)"|(\w+))', text):
        assert set("".join(named).split()) <= parts, named


# ---- names


def test_every_environment_variable_is_explained() -> None:
    """The table has what the settings read."""
    source = Path(settings.__file__).read_text(encoding="utf-8")
    read = set(re.findall(r'env\.get\("([A-Z_]+)"\)', source))
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    assert read
    assert {variable for variable in read if f"`{variable}`" not in text} == set()


async def test_metrics_have_the_names_that_are_listed() -> None:
    """Every metric in the table is exported by a manager, under exactly that name."""
    from kaito.apiserver.door import in_process
    from kaito.framework.leader import LeaderOptions
    from kaito.framework.manager import Manager, ManagerOptions
    from kaito.kube.clock import LoopClock
    from tests.apiserver.support import make_server

    registry = CollectorRegistry()
    options = ManagerOptions(
        identity="me", leader=LeaderOptions(namespace="n", name="l"), request_details=True
    )
    Manager(
        in_process(make_server()),
        clock=LoopClock(),
        random=Random(1),
        options=options,
        registry=registry,
    )
    await asyncio.sleep(0)
    exported = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in registry.collect()
    }
    for row in rows(DOCS / "operations.md", "metrics"):
        full, *rest = re.findall(r"`([a-z_]+)`", row[0])
        for metric in (full, *rest):
            known = {one for one in exported if one == metric or one.endswith(metric)}
            assert known, metric


def test_roles_are_explained() -> None:
    """Every role that is installed is in the table of permissions."""
    text = " ".join(row[0] for row in rows(DOCS / "operations.md", "## Permissions"))
    documents = (*rbac.documents(), *rbac.for_people())
    for document in documents:
        if document["kind"] in ("ClusterRole", "Role"):
            role = document["metadata"]["name"]
            assert f"`{role}`" in text or f"`{role.removeprefix('kaito-workspaces')}`" in text, role


def test_kinds_that_are_not_served_are_listed() -> None:
    """The page names the built-in kinds that the embedded API server lacks, and none it serves."""
    served = {kind.resource.group_resource for kind in KINDS}
    lacking = {one.kind for one in BUILTIN if one.group_resource not in served}
    text = (DOCS / "simulator.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"Kinds not served: ([^|;]+)", text)
    named = set(re.findall(r"\b[A-Z]\w+", line))
    assert named >= lacking
    assert named.isdisjoint(kind.resource.kind for kind in KINDS)


# ---- examples


PYTHON = [block for block in ALL_BLOCKS if block.language == "python"]


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: name(block.page))
async def test_examples_in_python_run(block: Block) -> None:
    """The tests that a page shows pass."""
    sys.modules.setdefault("page", example.page)
    sys.modules.setdefault("topic", example.topic)
    space: dict = {}
    exec(compile(block.text, str(block.page), "exec"), space)  # noqa: S102 - our own pages
    tests = [value for key, value in space.items() if key.startswith("test_")]
    assert tests
    for test in tests:
        await test()
