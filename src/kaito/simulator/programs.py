"""What a container would do, read off its image, command and environment. Nothing is executed.

    Serve      an inference server: loads, then answers until it is told to stop
    Train      a fine-tuning run; ends by itself
    Fetch      a download of a model or a dataset; ends by itself
    Pull/Push  an artifact from or to a registry; ends by itself
    Pause      lives until the pusher beside it has finished
    Curl       one HTTP request on the cluster's network
    Exit       says something, and ends after a given time with a given code
    Idle       does nothing until it is told to stop

Whatever is not recognised is `Idle` in a pod that restarts its containers always, and otherwise a
task that succeeds: a pod of an image nobody knows must not keep its Job waiting for ever.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kaito.kube.objects import Json
from kaito.simulator import images


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """`runtime`: "vllm" or "transformers". `weights` is the model's id where it is downloaded."""

    runtime: str
    model: str
    weights: str = ""
    port: int = 5000
    adapters: tuple[str, ...] = ()
    """Names under which adapters can be asked for."""
    adapter_images: tuple[str, ...] = ()
    """The images from which they came."""
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    port: int = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """`what`: "weights" or "data"."""

    what: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    image: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    image: str
    model: str = ""
    waits: bool = False
    """It polls for the training's result instead of being started after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Curl:
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    code: int = 0
    after: float | None = None
    """Seconds; None: as long as an unknown task takes."""
    first: tuple[str, ...] = ()
    """Lines that it prints before it sleeps."""
    last: tuple[str, ...] = ()
    """Lines that it prints before it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    first: tuple[str, ...] = ()
    """Lines that it prints."""


Program = Serve | Train | Fetch | Pull | Push | Pause | Curl | Exit | Idle


def environment(container: Json) -> dict[str, str]:
    """The variables with a literal value."""
    return {item["name"]: item.get("value") or "" for item in container.get("env") or ()}


def words(container: Json) -> list[str]:
    return [*(container.get("command") or ()), *(container.get("args") or ())]


def program_of(pod: Json, container: Json) -> Program:
    """What this container of this pod does."""
    argv = words(container)
    text = " ".join(argv)
    env = environment(container)
    return (
        _server(pod, container, text)
        or _transfer(container, text, env)
        or _curl(container, argv)
        or (Pause() if _name(container) == "pause" else None)
        or _simple(argv)
        or _unknown(pod)
    )


def _server(pod: Json, container: Json, text: str) -> Program | None:
    if "fine_tuning.py" in text:
        return Train()
    if "inference_api.py" not in text and "vllm serve" not in text:
        return None
    flags = read_flags(text)
    runtime = "transformers" if "/tfs/" in text else "vllm"
    weights = flags.get("model") or flags.get("pretrained-model-name-or-path") or ""
    model = flags.get("served-model-name") or _pulled_model(pod, weights)
    pulled = _adapters(pod)
    mounted = [
        mount["mountPath"].removeprefix("/mnt/adapter/")
        for mount in container.get("volumeMounts") or ()
        if mount["mountPath"].startswith("/mnt/adapter/")
    ]
    return Serve(
        runtime=runtime,
        model=model or container["name"],
        weights=weights,
        port=int(flags.get("port") or 5000),
        adapters=tuple(dict.fromkeys([*mounted, *_lora_modules(text), *(n for n, _ in pulled)])),
        adapter_images=tuple(image for _, image in pulled),
        settings=tuple(sorted(flags.items())),
    )


def _pulled_model(pod: Json, weights: str) -> str:
    """The last part of a model's id; of weights on disk, the name of the image they come from."""
    if weights.startswith("/"):
        for container in pod["spec"].get("initContainers") or ():
            found = re.search(r"oras pull (\S+)", " ".join(words(container)))
            if found:
                return images.parse(found[1]).name.removeprefix("kaito-")
    return weights.rpartition("/")[2].lower()


_FLAG = re.compile(r"(?<!\S)--([A-Za-z][\w.-]*)(?:(?:=|\s+)('[^']*'|\"[^\"]*\"|[^\s-][^\s]*))?")


def read_flags(text: str) -> dict[str, str]:
    """`--name=value` and `--name value`; a flag without a value reads "true"; last one wins."""
    return {
        name.replace("_", "-"): value.strip("'\"") if value else "true"
        for name, value in _FLAG.findall(text)
    }


_MODULE = re.compile(r"(?<!\S)--lora-modules((?:[ =]+[^\s=-][^\s=]*=\S+)+)")


def _lora_modules(text: str) -> list[str]:
    """The names in `--lora-modules name=path ...`."""
    found = _MODULE.search(text)
    return [pair.partition("=")[0] for pair in found[1].split()] if found else []


def _adapters(pod: Json) -> list[tuple[str, str]]:
    """(name, image) of every adapter that an init container pulls."""
    found = []
    for container in pod["spec"].get("initContainers") or ():
        image = artifact_of(container)
        where = [mount["mountPath"] for mount in container.get("volumeMounts") or ()]
        target = environment(container).get("TARGET_DIR", "")
        places = [place for place in (target, *where) if place.startswith("/mnt/adapter")]
        if image and places:
            name = places[0].removeprefix("/mnt/adapter").strip("/")
            found.append((name or container["name"].removeprefix("puller-"), image))
    return found


_IMAGE_LINE = re.compile(r"IMG_REF='([^']+)'")


def artifact_of(container: Json) -> str:
    """The image that a puller or pusher script moves: its variable, or its built-in default."""
    env = environment(container)
    if env.get("IMAGE"):
        return env["IMAGE"]
    found = _IMAGE_LINE.search(" ".join(words(container)))
    return found[1] if found else ""


def _transfer(container: Json, text: str, env: Mapping[str, str]) -> Program | None:
    if env.get("DATA_URLS"):
        return Fetch(what="data", sources=tuple(env["DATA_URLS"].split()))
    if "oras push" in text or "oras cp" in text:
        # A script that waits for the training's end says for which file.
        waits = "SENTINEL" in text or "fine_tuning_completed" in text
        return Push(image=artifact_of(container), model=env.get("MODEL_NAME", ""), waits=waits)
    if "skopeo copy" in text:
        return Pull(image=artifact_of(container))
    found = re.search(r"oras pull (\S+)", text)
    return Fetch(what="weights", sources=(found[1],)) if found else None


def _curl(container: Json, argv: Sequence[str]) -> Program | None:
    try:
        image = images.parse(container.get("image") or "")
    except images.InvalidReference:
        return None
    if image.repository != "curlimages/curl":
        return None
    if len(argv) == 3 and argv[0] in ("sh", "/bin/sh") and argv[1] == "-c":
        argv = _split(argv[2])
    if argv and not argv[0].startswith("-"):
        if argv[0].rpartition("/")[2] != "curl":
            return None
        argv = argv[1:]
    return Curl(argv=tuple(argv))


def _split(script: str) -> list[str]:
    """A script of one simple command, as a shell would split it; anything else as no command."""
    if re.search(r"[;&|<>`$(){}\n]", re.sub(r"'[^']*'|\"[^\"$`]*\"", "", script.strip())):
        return [script]
    try:
        return shlex.split(script)
    except ValueError:
        return [script]


_SLEEP = re.compile(r"([\d.]+)([smhd]?)")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _simple(argv: Sequence[str]) -> Program | None:
    """`echo WORDS`, `sleep N`, `true`, `false`, `exit N`, also as `sh -c "sleep N; exit M"`.

    What is said after the first sleep is said at the end.
    """
    seconds, code = 0.0, 0
    said: tuple[list[str], list[str]] = ([], [])
    parts = _commands(argv)
    for name, *rest in parts:
        found = _SLEEP.fullmatch(rest[0]) if name == "sleep" and len(rest) == 1 else None
        if name == "echo":
            said[seconds > 0].append(" ".join(rest))
        elif found:
            seconds += float(found[1]) * _UNITS[found[2]]
        elif name == "sleep" and rest in (["inf"], ["infinity"]):
            return Idle(first=(*said[0], *said[1]))
        elif name == "exit":
            code = int(rest[0]) if rest and rest[0].isdigit() else 0
            break
        elif name == "false":
            code = 1
        elif name != "true":
            return None
    return (
        Exit(code=code, after=seconds, first=tuple(said[0]), last=tuple(said[1])) if parts else None
    )


def _commands(argv: Sequence[str]) -> list[list[str]]:
    """The words of each command of a script; the command itself where it is no script."""
    if len(argv) != 3 or argv[0] not in ("sh", "/bin/sh") or argv[1] != "-c":
        return [list(argv)] if argv else []
    try:
        parts = [shlex.split(part) for part in re.split(r"[;\n]|&&", argv[2])]
    except ValueError:
        return [[argv[2]]]
    return [part for part in parts if part]


def _unknown(pod: Json) -> Program:
    return Exit() if pod["spec"].get("restartPolicy", "Always") != "Always" else Idle()


def _name(container: Json) -> str:
    try:
        return images.parse(container.get("image") or "").name
    except images.InvalidReference:
        return ""
