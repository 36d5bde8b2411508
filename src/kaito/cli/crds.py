"""`kaito crds`."""

import click

from kaito.api.crds import documents
from kaito.cli.output import yaml_text


@click.command("crds")
def command() -> None:
    """The CustomResourceDefinitions of kaito, for kubectl apply -f -.

    Karpenter's NodeClaim is left out: on a cluster that has Karpenter it is Karpenter's.

    \b
    kaito crds | kubectl apply -f -
    """
    click.echo("---\n".join(yaml_text(document) for document in documents()), nl=False)
