"""Sessions: what people type, and what kubectl then says.

`sessions/NAME.yaml` is played in a namespace of its name, `answers/NAME.txt` is what kubectl showed
before a real control plane, as recorded by `python -m tests.contract.kubectl.record`.

    machines: [spare]                    # switched on for this session, beside the `worker`
    files: {web.yaml: "..."}             # in the folder where kubectl runs
    steps:
    - kubectl apply -f web.yaml          # in short, or
    - run: kubectl get pods
      stdin: "..."
      user: operator                     # admin by default
      env: {KUBE_EDITOR: sh edit.sh}
      until: "2/2"                       # again and again until its output matches
      last: true                         # only the last line matters
      lines: "^pods"                     # only the lines that match matter
      drop: "^Waiting"                   # all but those
      sort: true                         # their order does not matter
      save: {pod: "pod/(\\S+)"}          # `$pod` stands for it in later steps
      expect: "..."                      # said by the embedded server alone, and not recorded
    - start: kubectl get pods -w         # in the background, one at a time
      ready: "watch=true"                # waits until it says so, on either stream
      save: {port: ":(\\d+)"}            # waits until its output matches
    - stop: "Running"                    # end it once its output matches
    - finish: true                       # wait until it ends

A transcript shows standard output, then standard error after `! `, then what the status was if it
was not 0. A line that begins with `? ` tells of what did not happen; such a one is not recorded.
"""

import os
import re
import shlex
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import yaml

from tests.contract.kubectl.clusters import Site
from tests.contract.kubectl.plain import Plain

HERE = Path(__file__).parent
Json = dict[str, Any]
_PATIENCE = 180.0
"""Seconds for any step."""
_PAUSE = 0.15
"""Between two tries of a step that waits for its output."""


def names() -> list[str]:
    """Every session."""
    return sorted(path.stem for path in (HERE / "sessions").glob("*.yaml"))


def answers_path(name: str) -> Path:
    """Where its transcript is kept."""
    return HERE / "answers" / f"{name}.txt"


def troubles(transcript: str) -> list[str]:
    """What was waited for in vain."""
    return [line for line in transcript.splitlines() if line.startswith("? ")]


@dataclass
class Background:
    """A command that runs on while others do."""

    process: subprocess.Popen[str]
    shown: str
    step: Json
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    more: threading.Condition = field(default_factory=threading.Condition)

    def read(self) -> None:
        for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            thread = threading.Thread(target=self._collect, args=(stream, lines))
            thread.start()
            self.threads.append(thread)

    def _collect(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            with self.more:
                lines.append(line)
                self.more.notify_all()

    def said(self, pattern: str, *, anywhere: bool = False) -> re.Match[str]:
        """Wait until its output matches."""
        deadline = time.monotonic() + _PATIENCE
        with self.more:
            while not (found := re.search(pattern, self._text(anywhere), re.MULTILINE)):
                left = deadline - time.monotonic()
                assert left > 0, f"{self.shown}: no {pattern!r} in {self.out}{self.err}"
                self.more.wait(left)
        return found

    def _text(self, anywhere: bool) -> str:
        return "".join([*self.out, *self.err] if anywhere else self.out)

    def end(self) -> int:
        code = self.process.wait(_PATIENCE)
        for thread in self.threads:
            thread.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return code


class Session:
    """One run of a session on one cluster; `play` answers its transcript."""

    def __init__(self, name: str, site: Site, kubectl: Path, folder: Path) -> None:
        self.name = name
        self._site = site
        self._kubectl = kubectl
        self._folder = folder
        self._told: Json = yaml.safe_load((HERE / "sessions" / f"{name}.yaml").read_text())
        self._values: dict[str, str] = {}
        self._plain = Plain()
        self._background: Background | None = None

    def play(self) -> str:
        self._prepare()
        machines = self._told.get("machines", [])
        self._site.switch_on(*machines)
        self._quietly("create", "namespace", self.name)
        for made in ("serviceaccount/default", "configmap/kube-root-ca.crt"):
            self._quietly("wait", "--for=create", made)
        try:
            shown = [self._step(step) for step in self._told["steps"]]
        finally:
            if self._background is not None:
                self._background.process.kill()
                self._background.end()
            self._quietly("delete", "namespace", self.name, "--wait=false", "--ignore-not-found")
            self._site.switch_off(*machines)
        return "\n".join(text for text in shown if text)

    def _prepare(self) -> None:
        for user in ("admin", "operator"):
            self._site.write_kubeconfig(self._folder / f"{user}.kubeconfig", user, self.name)
        work = self._folder / "work"
        for path, text in (self._told.get("files") or {}).items():
            target = work / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        work.mkdir(exist_ok=True)

    def _environment(self, step: Json) -> dict[str, str]:
        return {
            "HOME": str(self._site.home),
            "KUBECONFIG": str(self._folder / f"{step.get('user', 'admin')}.kubeconfig"),
            "PATH": os.environ.get("PATH", ""),
            "TMPDIR": str(self._folder),
            "TZ": "UTC",
            # It ends soon: to collect its garbage is a fifth of its work, and nobody's gain.
            "GOGC": "off",
            **step.get("env", {}),
        }

    def _command(self, text: str) -> list[str]:
        words = shlex.split(self._filled(text))
        assert words[0] == "kubectl", text
        return [str(self._kubectl), *words[1:]]

    def _filled(self, text: str) -> str:
        for name, value in sorted(self._values.items(), reverse=True):
            text = text.replace(f"${name}", value)
        return text

    def _run(self, words: list[str], step: Json) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                words,
                input=self._filled(step.get("stdin", "")),
                capture_output=True,
                text=True,
                check=False,
                cwd=self._folder / "work",
                env=self._environment(step),
                timeout=_PATIENCE,
            )
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{error}: {error.stdout!r} {error.stderr!r}") from error

    def _quietly(self, *words: str) -> None:
        done = self._run([str(self._kubectl), *words], {})
        assert done.returncode == 0, done.stderr

    def _step(self, step: Json | str) -> str:
        if isinstance(step, str):
            step = {"run": step}
        if "expect" in step and not self._site.embedded:
            return ""
        if "start" in step:
            return self._start(step)
        if "stop" in step or "finish" in step:
            return self._end(step)
        done = self._run(self._command(step["run"]), step)
        deadline = time.monotonic() + _PATIENCE
        while "until" in step and not re.search(step["until"], done.stdout + done.stderr):
            if time.monotonic() > deadline:
                return f"$ {step['run']}\n? never said {step['until']}: {done.stdout}{done.stderr}"
            time.sleep(_PAUSE)
            done = self._run(self._command(step["run"]), step)
        self._save(step, lambda pattern: re.search(pattern, done.stdout, re.MULTILINE))
        shown = self._shown(step, step["run"], done.stdout, done.stderr, done.returncode)
        if "expect" not in step:
            return shown
        _, _, said = shown.partition("\n")
        return "" if said == step["expect"] else f"{shown}? expected: {step['expect']}"

    def _start(self, step: Json) -> str:
        process = subprocess.Popen(
            self._command(step["start"]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._folder / "work",
            env=self._environment(step),
        )
        self._background = Background(process, step["start"], step)
        self._background.read()
        if "ready" in step:
            self._background.said(step["ready"], anywhere=True)
        self._save(step, self._background.said)
        return f"$ {step['start']} &\n"

    def _end(self, step: Json) -> str:
        there, self._background = self._background, None
        assert there is not None, "nothing runs in the background"
        try:
            if "stop" in step:
                there.said(step["stop"])
        finally:
            if "stop" in step:
                there.process.terminate()
            code = there.end()
        # The status of a command that was ended is the signal's.
        shown = {**there.step, **step}
        out, err = "".join(there.out), "".join(there.err)
        return self._shown(shown, f"{there.shown} &", out, err, 0 if "stop" in step else code)

    def _save(self, step: Json, find: Any) -> None:
        for variable, pattern in (step.get("save") or {}).items():
            found = find(pattern)
            assert found, f"{step}: nothing matches {pattern}"
            self._values[variable] = found[1]

    def _shown(self, step: Json, command: str, out: str, err: str, code: int) -> str:
        stdin = "".join(f"> {line}\n" for line in step.get("stdin", "").splitlines())
        user = f"({step['user']}) " if "user" in step else ""
        text = f"{user}$ {command}\n{stdin}{_chosen(step, self._plain.text(out))}"
        for line in _chosen(step, self._plain.text(err), errors=True).splitlines():
            text += f"! {line}\n" if line else "!\n"
        return text if code == 0 else f"{text}= {code}\n"


def _chosen(step: Json, text: str, *, errors: bool = False) -> str:
    """The lines of an output that matter; of errors all do but those that are dropped."""
    lines = text.splitlines(keepends=True)
    if "drop" in step:
        lines = [line for line in lines if not re.search(step["drop"], line)]
    if "lines" in step and not errors:
        lines = [line for line in lines if re.search(step["lines"], line)]
    if step.get("last") and not errors:
        lines = lines[-1:]
    if step.get("sort"):
        lines = sorted(lines)
    return "".join(lines)
