"""`kaito skus`."""

import click

from kaito.cli.failure import Failure
from kaito.cli.output import formats, show, table
from kaito.kube.objects import Json
from kaito.planning.skus import SKUS, Sku, find_sku, nearest


@click.command("skus")
@click.argument("name", required=False)
@click.option(
    "--cloud", type=click.Choice(["azure", "aws", "arc", "all"]), default="azure", show_default=True
)
@click.option("-o", "--output", type=formats("table", "json", "yaml", "name"), default="table")
def command(name: str | None, cloud: str, output: str) -> None:
    """The GPU machine sizes that are known, or one of them.

    \b
    kaito skus
    kaito skus Standard_NC24ads_A100_v4
    """
    found = [sku for sku in SKUS if cloud in ("all", sku.cloud)]
    if name is not None:
        found = [_named(name)]
    if output == "name":
        click.echo("\n".join(sku.name for sku in found))
    elif output in ("json", "yaml"):
        show([_value(sku) for sku in found] if name is None else _value(found[0]), output)
    else:
        head = ["NAME", "CLOUD", "GPUS", "MEMORY", "GPU", "CAPABILITY", "RETIRED", "SUCCESSOR"]
        table(head, [_row(sku) for sku in found])


def _named(name: str) -> Sku:
    sku = find_sku(name)
    if sku is None:
        near = nearest(name, "azure")
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise Failure(f"no GPU facts are known for {name}{hint} (kaito skus lists what is known)")
    return sku


def _row(sku: Sku) -> list[object]:
    return [
        sku.name,
        sku.cloud,
        sku.gpus,
        f"{sku.memory_gib}Gi",
        sku.model,
        sku.capability if sku.capability is not None else "none",
        sku.retired.isoformat() if sku.retired else "",
        sku.successor,
    ]


def _value(sku: Sku) -> Json:
    return {
        "name": sku.name,
        "cloud": sku.cloud,
        "gpus": sku.gpus,
        "gpuMemoryGiB": sku.memory_gib,
        "gpu": sku.model,
        "computeCapability": sku.capability,
        "nvme": sku.nvme,
        "retired": sku.retired.isoformat() if sku.retired else None,
        "successor": sku.successor or None,
    }
