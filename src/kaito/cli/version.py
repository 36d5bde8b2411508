"""`kaito version`."""

import platform

import click

from kaito import __version__


@click.command("version")
def command() -> None:
    """Print the version of kaito and of the Python that runs it."""
    click.echo(f"kaito {__version__} (Python {platform.python_version()})")
