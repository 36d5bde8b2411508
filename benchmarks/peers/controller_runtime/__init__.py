"""The same operator in Go, built once from pinned modules."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.controlplane import programs

HERE = Path(__file__).parent
_BUILD_SECONDS = 300
"""With nothing cached, about one and a half minutes on two cores that do nothing else."""


class LeftOut(Exception):
    """There is no such contestant on this machine; the message says why."""


def program() -> Path:
    """The built program. Raises LeftOut."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((HERE / name).read_bytes())
    target = programs.cache() / f"controller-runtime-{digest.hexdigest()[:12]}"
    if not target.exists():
        _build(target)
    return target


def version() -> str:
    """Of controller-runtime."""
    for line in (HERE / "go.mod").read_text().splitlines():
        words = line.split()
        if words[:1] == ["sigs.k8s.io/controller-runtime"]:
            return words[1]
    raise LookupError("go.mod does not require controller-runtime")


def _build(target: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise LeftOut("there is no Go on this machine")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(
            [go, "build", "-o", str(target), "."],
            check=True,
            capture_output=True,
            cwd=HERE,
            env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"},
            text=True,
            timeout=_BUILD_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["Go said nothing"])[-1]
        raise LeftOut(f"it does not build here: {last}") from error
    except subprocess.TimeoutExpired as error:
        raise LeftOut(f"building takes longer than {_BUILD_SECONDS} s here") from error
