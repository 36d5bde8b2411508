"""`kaito plan`."""

import click

from kaito.cli.failure import REFUSED, Failure
from kaito.cli.output import formats, show
from kaito.cli.workspaces import Planned, planned
from kaito.kube.objects import Json
from kaito.planning.decision import Plan, Refusal


@click.command("plan")
@click.option("-f", "--filename", "names", multiple=True, required=True, metavar="FILE")
@click.option("-n", "--namespace", default="default", show_default=True)
@click.option("-o", "--output", type=formats("table", "json", "yaml"), default="table")
def command(names: tuple[str, ...], namespace: str, output: str) -> None:
    """What each Workspace needs, and how that was worked out. Asks nobody, changes nothing.

    -f takes a file, a directory, a URL or - (stdin), and may be repeated. ConfigMaps among the
    files are used where a Workspace names them. Exit code 1 if any Workspace is refused.

    \b
    kaito plan -f examples/inference
    """
    found = planned(names, namespace)
    if not found:
        raise Failure(f"no Workspace in {', '.join(names)}")
    if output == "table":
        click.echo("\n\n".join(_text(item) for item in found))
    else:
        show([_value(item) for item in found], output)
    if any(isinstance(item.decision, Refusal) for item in found):
        raise click.exceptions.Exit(REFUSED)


def _text(item: Planned) -> str:
    decision = item.decision
    if isinstance(decision, Refusal):
        return f"{item.title}: refused, {decision.reason}\n  {item.where}: {decision.message}"
    sku, gpus = decision.sku, decision.gpus_per_node
    ways = (decision.tensor_parallel, decision.pipeline_parallel, decision.data_parallel)
    lines = [
        f"{item.title}: {decision.kind} of {decision.preset.name} on {decision.runtime}",
        f"  machines      {decision.nodes} x {sku.name}",
        f"  GPUs          {gpus} x {sku.model} a machine, {sku.memory_gib} GiB together",
        "  parallelism   tensor {}, pipeline {}, data {}".format(*ways),
        f"  numbers       {decision.dtype}",
        f"  disk          {decision.disk_gib} GiB a machine",
        "  because",
        *(f"    {line}" for line in decision.arithmetic),
        *(f"  warning       {warning}" for warning in decision.warnings),
    ]
    return "\n".join(lines)


def _value(item: Planned) -> Json:
    name = {"namespace": item.namespace, "name": item.document.name}
    decision = item.decision
    if isinstance(decision, Refusal):
        refused = {"reason": decision.reason, "field": decision.field, "message": decision.message}
        return {**name, "refused": {**refused, "at": item.where}}
    return {**name, "plan": _plan_value(decision)}


def _plan_value(plan: Plan) -> Json:
    return {
        "kind": plan.kind,
        "preset": plan.preset.name,
        "runtime": plan.runtime,
        "instanceType": plan.sku.name,
        "nodes": plan.nodes,
        "gpusPerNode": plan.gpus_per_node,
        "tensorParallel": plan.tensor_parallel,
        "pipelineParallel": plan.pipeline_parallel,
        "dataParallel": plan.data_parallel,
        "dtype": plan.dtype,
        "diskGiB": plan.disk_gib,
        "command": list(plan.argv),
        "arithmetic": list(plan.arithmetic),
        "warnings": list(plan.warnings),
    }
