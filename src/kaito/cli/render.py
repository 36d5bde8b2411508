"""`kaito render`."""

import click

from kaito.cli.failure import REFUSED, Failure
from kaito.cli.output import formats, json_text, yaml_text
from kaito.cli.workspaces import Planned, planned
from kaito.kube.objects import Json
from kaito.manifests.options import RenderOptions
from kaito.manifests.render import render_all
from kaito.planning.decision import Refusal


@click.command("render")
@click.option("-f", "--filename", "names", multiple=True, required=True, metavar="FILE")
@click.option("-n", "--namespace", default="default", show_default=True)
@click.option("-o", "--output", type=formats("yaml", "json", "name"), default="yaml")
@click.option("--registry", default=RenderOptions().registry, show_default=True)
def command(names: tuple[str, ...], namespace: str, output: str, registry: str) -> None:
    """Every object each Workspace becomes, deterministic. Asks nobody, changes nothing.

    A Workspace without a UID gets the uuid5 of its namespace/name, and a comment says so.

    \b
    kaito render -f ws.yaml | kubectl diff -f -
    """
    found = planned(names, namespace)
    if not found:
        raise Failure(f"no Workspace in {', '.join(names)}")
    options = RenderOptions(registry=registry)
    refused = [item for item in found if isinstance(item.decision, Refusal)]
    texts = [_rendered(item, options, output) for item in found if item not in refused]
    click.echo(("---\n" if output == "yaml" else "").join(texts), nl=False)
    for item in refused:
        if isinstance(item.decision, Refusal):
            click.echo(f"{item.where}: {item.title} is refused: {item.decision.message}", err=True)
    if refused:
        raise click.exceptions.Exit(REFUSED)


def _rendered(item: Planned, options: RenderOptions, output: str) -> str:
    if isinstance(item.decision, Refusal):
        return ""
    objects = render_all(item.decision, item.identity, options)
    if output == "json":
        return json_text({"apiVersion": "v1", "kind": "List", "items": objects}) + "\n"
    if output == "name":
        return "".join(f"{_name(obj)}\n" for obj in objects)
    comment = f"# {item.title} of {item.document.source}"
    if not item.has_uid:
        comment += f"; no UID in the file: uuid5 of its name stands in ({item.identity.uid})"
    return comment + "\n" + "---\n".join(yaml_text(obj) for obj in objects)


def _name(obj: Json) -> str:
    group = obj["apiVersion"].rpartition("/")[0]
    kind = obj["kind"].lower()
    return f"{kind}{'.' + group if group else ''}/{obj['metadata']['name']}"
