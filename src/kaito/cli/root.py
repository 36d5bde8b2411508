"""The root command. Subcommands are imported only when they are called, so `-h` is instant."""

import sys
from importlib import import_module
from typing import Final, final

import click

from kaito.cli.failure import INTERRUPTED, Failure

COMMANDS: Final = {
    "demo": (
        "kaito.cli.demo.command",
        "The whole job on the embedded cluster: no GPU, no cloud, no model.",
    ),
    "up": ("kaito.cli.up", "An embedded cluster and the operator, in the foreground."),
    "run": ("kaito.cli.run", "The operator alone, against a cluster."),
    "plan": ("kaito.cli.plan", "What a Workspace needs, with the arithmetic. No cluster."),
    "render": ("kaito.cli.render", "Every object a Workspace becomes. No cluster."),
    "validate": ("kaito.cli.validate", "Every problem, as file:line: field: message. No cluster."),
    "models": ("kaito.cli.models", "The models of the catalog."),
    "skus": ("kaito.cli.skus", "The GPU machine sizes that are known."),
    "crds": ("kaito.cli.crds", "The CustomResourceDefinitions, for kubectl apply -f -."),
    "completion": ("kaito.cli.completion", "A completion script for bash, zsh or fish."),
    "version": ("kaito.cli.version", "The version."),
}
"""Name → module that has it as `command`, and the line `-h` shows."""

HIDDEN: Final = {"generate": "kaito.cli.generate"}
"""For those who change kaito; `-h` does not show them."""


@final
class Root(click.Group):
    """Knows its commands' names and one-liners without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS[cmd_name][0] if cmd_name in COMMANDS else HIDDEN.get(cmd_name)
        if module is None:
            return None
        command = import_module(module).command
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from difflib import get_close_matches

        known = {**COMMANDS, **HIDDEN}
        if args and args[0] not in known and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; see kaito -h"
            raise click.UsageError(f"no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: kaito demo. Exit codes: 0 ok, 1 refused or not ready, 2 usage, "
    "3 cannot reach, 124 timeout, 130 Ctrl-C.",
)
def root() -> None:
    """One small YAML becomes a running model on Kubernetes."""


def main(arguments: list[str] | None = None) -> None:
    """The program `kaito`. Always ends the process; errors are one line on stderr."""
    try:
        code = root.main(args=arguments, prog_name="kaito", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        click.echo(f"{where or 'kaito'}: {error.format_message()}", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except Failure as failure:
        click.echo(f"kaito: {failure}", err=True)
        sys.exit(failure.code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
