"""Which kubectl plays the sessions: that of the control plane, or the one on the PATH.

What kubectl prints depends on its own version too. Some are known to say the same once
`plain` has made their transcripts alike; with others the sessions are left out, and that is said.
`KAITO_KUBECTL` names any program, whatever its version.
"""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.controlplane import programs

CHOICE = "KAITO_KUBECTL"
ALIKE = ("1.32", "1.33", "1.36")
"""The versions with which every session was played and read the same."""


@cache
def program() -> Path | None:
    """Where it is."""
    named = os.environ.get(CHOICE)
    folder = programs.find()
    if named is None and folder is not None and (folder / "kubectl").exists():
        return folder / "kubectl"
    on_path = shutil.which(named or "kubectl")
    return None if on_path is None else Path(on_path).resolve()


def version(kubectl: Path) -> str:
    """As `1.36`. Raises OSError, CalledProcessError or ValueError when it does not tell."""
    asked = subprocess.run(
        [kubectl, "version", "--client", "-o", "json"], capture_output=True, check=True
    )
    told = json.loads(asked.stdout).get("clientVersion", {})
    return f"{told.get('major')}.{str(told.get('minor')).rstrip('+')}"


def why_not() -> str:
    """Why sessions cannot be compared on this machine; empty where they can."""
    kubectl = program()
    if kubectl is None:
        return "there is no kubectl here"
    try:
        found = version(kubectl)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        return f"{kubectl} does not tell its version: {error}"
    if found not in ALIKE and CHOICE not in os.environ:
        return f"{kubectl} is version {found}; known are {', '.join(ALIKE)}"
    return ""


if __name__ == "__main__":
    if why := why_not():
        print(f"left out: the recorded kubectl sessions; {why}")
