"""Which kubectl plays the sessions: that of the control plane, or the one on the PATH.

What kubectl prints depends on its own version too, so answers are recorded with one minor version
and compared with that one alone. `KAITO_KUBECTL` names another program.
"""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.controlplane import programs

ANSWERS = Path(__file__).parent / "answers"
USUAL = programs.version().removeprefix("v").rpartition(".")[0]
"""The version of the control plane."""


@cache
def program() -> Path | None:
    """Where it is."""
    named = os.environ.get("KAITO_KUBECTL")
    folder = programs.find()
    if named is None and folder is not None and (folder / "kubectl").exists():
        return folder / "kubectl"
    on_path = shutil.which(named or "kubectl")
    return None if on_path is None else Path(on_path).resolve()


@cache
def version(kubectl: Path) -> str:
    """As `1.36`."""
    asked = subprocess.run(
        [kubectl, "version", "--client", "-o", "json"], capture_output=True, check=True
    )
    told = json.loads(asked.stdout)["clientVersion"]
    return f"{told['major']}.{told['minor'].rstrip('+')}"


def recorded() -> list[str]:
    """The versions with which answers were recorded."""
    return sorted(path.name for path in ANSWERS.iterdir() if path.is_dir())


def why_not() -> str:
    """Why sessions cannot be compared on this machine; empty where they can."""
    kubectl = program()
    if kubectl is None:
        return "there is no kubectl here"
    try:
        version(kubectl)
    except (OSError, subprocess.CalledProcessError, ValueError, KeyError) as error:
        return f"{kubectl} does not tell its version: {error}"
    if version(kubectl) not in recorded():
        known = " and ".join(recorded())
        return f"{kubectl} is version {version(kubectl)}; answers are recorded with {known}"
    return ""


if __name__ == "__main__":
    if why := why_not():
        print(f"left out: the recorded kubectl sessions; {why}")
