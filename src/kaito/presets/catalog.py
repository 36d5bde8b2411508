"""Finding a preset by any of its names."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, final

from kaito.presets._compiled import PRESETS
from kaito.presets.preset import Preset


@final
@dataclass(frozen=True, slots=True)
class UnknownPreset:
    """No preset has this name. `nearest` are canonical names, the likeliest first."""

    name: str
    nearest: tuple[str, ...]


def _names(preset: Preset) -> tuple[str, ...]:
    return (preset.name, preset.model_id, *preset.aliases)


_BY_NAME: Final[Mapping[str, Preset]] = MappingProxyType(
    {name: preset for preset in PRESETS for name in _names(preset)}
)


def find(name: str) -> Preset | UnknownPreset:
    """The preset of a short name, an older alias or a Hugging Face id; case does not matter."""
    wanted = name.strip().lower()
    found = _BY_NAME.get(wanted)
    if found is not None:
        return found
    close = get_close_matches(wanted.rsplit("/", 1)[-1], _BY_NAME, n=6, cutoff=0.6)
    nearest = dict.fromkeys(_BY_NAME[word].name for word in close)
    return UnknownPreset(name=name, nearest=tuple(nearest)[:3])


def all_presets() -> tuple[Preset, ...]:
    """Every preset, in the order of the catalog."""
    return PRESETS
