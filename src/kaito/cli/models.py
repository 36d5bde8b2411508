"""`kaito models`."""

import click

from kaito.cli.failure import Failure
from kaito.cli.output import formats, show, table
from kaito.kube.objects import Json
from kaito.presets.catalog import UnknownPreset, all_presets, find
from kaito.presets.preset import Preset


@click.command("models")
@click.argument("name", required=False)
@click.option(
    "-o", "--output", type=formats("table", "wide", "json", "yaml", "name"), default="table"
)
def command(name: str | None, output: str) -> None:
    """The models of the catalog, or one of them in full. Any short name or Hugging Face id works.

    \b
    kaito models
    kaito models phi-4-mini-instruct
    """
    if name is not None:
        _one(name, output)
        return
    presets = all_presets()
    if output == "name":
        click.echo("\n".join(preset.name for preset in presets))
    elif output in ("json", "yaml"):
        show([_value(preset) for preset in presets], output)
    else:
        _table(presets, wide=output == "wide")


def _one(name: str, output: str) -> None:
    found = find(name)
    if isinstance(found, UnknownPreset):
        hint = f"; did you mean {' or '.join(found.nearest)}?" if found.nearest else ""
        raise Failure(f"there is no model {name}{hint} (kaito models lists them all)")
    if output == "name":
        click.echo(found.name)
    else:
        show(_value(found), "json" if output == "json" else "yaml")


def _table(presets: tuple[Preset, ...], *, wide: bool) -> None:
    head = ["NAME", "WEIGHTS", "CONTEXT", "RUNTIMES", "TUNING"]
    rows = [
        [
            preset.name,
            f"{preset.weights_gib:g}Gi" if preset.weights_gib else "unknown",
            _context(preset),
            ",".join(_runtimes(preset)) or "none",
            "yes" if preset.tuning else "no",
            *([preset.repository, preset.license or "unknown"] if wide else []),
        ]
        for preset in presets
    ]
    table([*head, *(["REPOSITORY", "LICENSE"] if wide else [])], rows)


def _context(preset: Preset) -> str:
    return f"{preset.context // 1024}k" if preset.context else "unknown"


def _runtimes(preset: Preset) -> list[str]:
    found = (("vllm", preset.vllm), ("transformers", preset.transformers))
    return [name for name, settings in found if settings is not None]


def _value(preset: Preset) -> Json:
    attention = preset.attention
    return {
        "name": preset.name,
        "repository": preset.repository,
        "aliases": list(preset.aliases),
        "era": preset.era,
        "license": preset.license,
        "architectures": list(preset.architectures),
        "weightsGiB": preset.weights_gib,
        "diskGiB": preset.disk_gib,
        "contextTokens": preset.context,
        "kvCacheBytesPerToken": attention.bytes_per_token,
        "quantization": preset.quantization,
        "dtype": preset.dtype,
        "gated": preset.gated,
        "runtimes": _runtimes(preset),
        "tunable": preset.tuning is not None,
        "startupSeconds": preset.startup_seconds,
    }
