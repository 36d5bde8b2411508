"""The files that the demo applies: `examples/`, byte for byte, shipped with the package."""

import difflib
from pathlib import Path
from typing import Final

SEED: Final = "examples/fine-tuning/kaito_workspace_tuning_phi_3.yaml"
INFERENCE: Final = "examples/inference/kaito_workspace_phi_4_mini.yaml"

_SHIPPED: Final = Path(__file__).parent / "data"

IMAGE: Final = "kaitodemo.azurecr.io/phi-3-mini-dolly:0.0.1"
SECRET: Final = "kaitodemo-registry"  # noqa: S105 - the name of one
REGISTRY: Final = "kaitodemo.azurecr.io"

_FILLED: Final = (
    ("ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE:0.0.1", IMAGE),
    ("ACR_REGISTRY_SECRET_HERE", SECRET),
)

THIRD: Final = "workspace-crash"


def text(name: str) -> str:
    """The text of one of the examples."""
    return (_SHIPPED / Path(name).name).read_text(encoding="utf-8")


def filled_in() -> str:
    """The seed's file with its two placeholders replaced, and nothing else."""
    found = text(SEED)
    for placeholder, value in _FILLED:
        found = found.replace(placeholder, value)
    return found


def diff() -> list[str]:
    """What was changed in it, as `diff -u` shows it."""
    before, after = text(SEED).splitlines(), filled_in().splitlines()
    return list(difflib.unified_diff(before, after, "as printed", "filled in", lineterm="", n=0))


def third() -> str:
    """The inference example once more, under another name."""
    return text(INFERENCE).replace("workspace-phi-4-mini", THIRD)
