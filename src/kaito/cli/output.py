"""How results are printed: tables for people, json, yaml and names for programs."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click
import yaml


def formats(*names: str) -> click.Choice[str]:
    """The choice for `-o`."""
    return click.Choice(names)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as kubectl prints them: upper-case heads, three spaces, no lines, no colour."""
    cells = [[str(cell) for cell in row] for row in rows]
    everything = [list(head), *cells]
    widths = [max(len(row[i]) for row in everything) for i in range(len(head))]
    for row in everything:
        line = "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base class's signature
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def yaml_text(value: object) -> str:
    """Block YAML in the order of the value; texts of several lines stay readable."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


def json_text(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def show(value: object, form: str) -> None:
    """Print a value as `json` or `yaml`."""
    click.echo(json_text(value) if form == "json" else yaml_text(value), nl=form == "json")
