"""What `kaito up` is asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from kaito.cli.inputs import Document


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The command line."""

    documents: tuple[Document, ...]
    namespace: str
    until_ready: bool
    timeout: float
    port: int
    kubeconfig: Path | None
    world_speed: float
