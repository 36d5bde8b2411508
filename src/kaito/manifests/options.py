"""What rendering depends on beside the Plan: where images come from, and which cloud it is."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderOptions:
    """Settings of the installation."""

    registry: str = "mcr.microsoft.com/aks/kaito"
    """Where the engine's and the weights' images are pulled from."""
    cloud: Literal["azure", "none"] = "azure"
    """`azure` adds what only AKS knows: the toleration for spot machines."""
