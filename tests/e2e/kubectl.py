"""Real `kubectl`, run as people run it."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SEED = EXAMPLES / "fine-tuning/kaito_workspace_tuning_phi_3.yaml"
INFERENCE = EXAMPLES / "inference/kaito_workspace_phi_4_mini.yaml"
_PATIENCE_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def warnings(self):
        return [line for line in self.err.splitlines() if line.startswith("Warning:")]

    @property
    def rows(self):
        """A printed table, as lists of words; the first one is the header."""
        return [line.split() for line in self.out.splitlines()]


class Kubectl:
    """One user's kubectl in one namespace."""

    def __init__(self, program, kubeconfig, home, namespace="default"):
        self.program = program
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        self._scope = [] if namespace == "default" else ["--namespace", namespace]
        self._home = home
        self._environment = {
            "HOME": str(home),
            "KUBECONFIG": str(kubeconfig),
            "PATH": os.environ.get("PATH", ""),
        }

    def within(self, namespace):
        """The same in another namespace."""
        return Kubectl(self.program, self.kubeconfig, self._home, namespace)

    def try_(self, *words, stdin=None):
        """Run it; whatever comes of it."""
        command = [str(self.program), *self._scope, *map(str, words)]
        done = subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=self._environment,
            timeout=_PATIENCE_SECONDS,
        )
        return Outcome(code=done.returncode, out=done.stdout, err=done.stderr)

    def __call__(self, *words, stdin=None):
        """Run it; it must succeed."""
        done = self.try_(*words, stdin=stdin)
        assert done.code == 0, f"kubectl {' '.join(map(str, words))}: {done.out}{done.err}"
        return done

    def json(self, *words):
        return json.loads(self("get", *words, "-o", "json").out)

    def names(self, *words):
        """`kind/name` of every object found."""
        return sorted(self("get", *words, "-o", "name").out.split())

    def wait(self, *words, seconds=240):
        return self("wait", f"--timeout={seconds}s", *words)

    def start(self, *words):
        """A kubectl that goes on until it is killed; its output is a pipe."""
        command = [str(self.program), *self._scope, *map(str, words)]
        return subprocess.Popen(
            command, cwd=ROOT, env=self._environment, text=True, stdout=subprocess.PIPE
        )
