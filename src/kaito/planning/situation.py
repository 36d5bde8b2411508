"""What inference and tuning plans have in common, worked out once."""

from dataclasses import dataclass
from typing import Literal, final

from kaito.api.workspace import PresetSpec, Workspace
from kaito.planning.decision import Facts
from kaito.planning.skus import Sku
from kaito.presets.preset import Preset


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A Workspace whose preset and machine are known."""

    workspace: Workspace
    facts: Facts
    preset: Preset
    sku: Sku
    node_labels: tuple[tuple[str, str], ...]
    node_image_family: Literal["ubuntu", "azurelinux"]
    warnings: tuple[str, ...]

    def number_format(self, preferred: str) -> str:
        """The dtype to compute in: `preferred` where the GPU can, float16 where it has no bf16.

        `auto` means the format the weights came in, which for these models is bfloat16.
        """
        return preferred if self.sku.bfloat16 else "float16"


def access_secret(preset: PresetSpec | None) -> str:
    """The Secret with the Hugging Face token; empty when none is named."""
    return preset.preset_options.model_access_secret if preset else ""
