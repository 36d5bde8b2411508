"""`kaito completion`."""

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a completion script.

    \b
    bash: source <(kaito completion bash)
    zsh:  source <(kaito completion zsh)
    fish: kaito completion fish | source
    """
    from kaito.cli.root import root

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(kind(root, {}, "kaito", "_KAITO_COMPLETE").source())
