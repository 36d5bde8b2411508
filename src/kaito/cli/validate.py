"""`kaito validate`."""

from collections.abc import Iterator

import click

from kaito.api.problems import Problem
from kaito.api.validation import read, unfilled, validate_object
from kaito.cli.failure import REFUSED, Failure
from kaito.cli.inputs import Document, documents
from kaito.cli.workspaces import planned
from kaito.planning.decision import Refusal


@click.command("validate")
@click.option("-f", "--filename", "names", multiple=True, required=True, metavar="FILE")
@click.option("-n", "--namespace", default="default", show_default=True)
def command(names: tuple[str, ...], namespace: str) -> None:
    """Every problem of every Workspace, one a line: file:line: field: message.

    Warnings are marked and do not fail. Exit code 1 if there is any error.

    \b
    kaito validate -f ws.yaml
    """
    found = [document for document in documents(names) if document.kind == "Workspace"]
    if not found:
        raise Failure(f"no Workspace in {', '.join(names)}")
    failed = False
    for document in found:
        for problem in _problems(document):
            failed = failed or problem.severity == "error"
            click.echo(line_of(document, problem))
    failed = _refusals(names, namespace) or failed
    if failed:
        raise click.exceptions.Exit(REFUSED)


def line_of(document: Document, problem: Problem) -> str:
    mark = "warning: " if problem.severity == "warning" else ""
    return f"{document.source}:{document.line(problem.path)}: {mark}{problem}"


def _problems(document: Document) -> Iterator[Problem]:
    for path, line in document.repeated:
        yield Problem(path, f"this key stands here again (line {line}); remove one")
    found = validate_object(document.obj)
    yield from found
    workspace = read(document.obj)
    if not isinstance(workspace, list):
        told = {problem.path for problem in found}
        yield from (problem for problem in unfilled(workspace) if problem.path not in told)


def _refusals(names: tuple[str, ...], namespace: str) -> bool:
    """What only planning finds: unknown presets and sizes, models that do not fit; warnings."""
    failed = False
    for item in planned(names, namespace):
        decision = item.decision
        if not isinstance(decision, Refusal):
            for warning in decision.warnings:
                field, _, _ = warning.partition(":")
                line = item.document.line(field)
                click.echo(f"{item.document.source}:{line}: warning: {warning}")
            continue
        failed = True
        if not any(p.severity == "error" for p in validate_object(item.document.obj)):
            click.echo(f"{item.where}: {decision.field}: {decision.message}")
    return failed
