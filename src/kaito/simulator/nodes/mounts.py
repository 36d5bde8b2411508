"""The Secrets and ConfigMaps a pod needs, what is missing of them, and what they give access to."""

import base64
import binascii
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from kaito.kube.objects import Json

DOCKER_CONFIG_KEY = ".dockerconfigjson"


@dataclass(frozen=True, slots=True)
class Source:
    """A Secret or ConfigMap that a pod refers to."""

    kind: str
    """"Secret" or "ConfigMap"."""
    name: str

    @property
    def word(self) -> str:
        """As a kubelet writes the kind."""
        return self.kind.lower()


Find = Callable[[Source], Json | None]
"""The object of the pod's namespace, or None."""


@dataclass(frozen=True, slots=True)
class _Mount:
    volume: str
    source: Source
    keys: tuple[str, ...]
    optional: bool


def _mounts(pod: Json) -> Iterator[_Mount]:
    for volume in pod["spec"].get("volumes") or ():
        for kind, spec in _sources(volume):
            name = spec.get("secretName") or spec.get("name") or ""
            keys = tuple(item["key"] for item in spec.get("items") or ())
            yield _Mount(volume["name"], Source(kind, name), keys, bool(spec.get("optional")))


def _sources(volume: Json) -> Iterator[tuple[str, Json]]:
    projected = (volume.get("projected") or {}).get("sources") or ()
    for holder in (volume, *projected):
        if holder.get("secret"):
            yield "Secret", holder["secret"]
        if holder.get("configMap"):
            yield "ConfigMap", holder["configMap"]


def referred(pod: Json) -> frozenset[Source]:
    """Everything whose change may let the pod go on."""
    found = {mount.source for mount in _mounts(pod)}
    for container in _containers(pod):
        found |= {source for source, _, _ in _variables(container)}
        found |= {source for source, _ in _bulk(container)}
    return frozenset(found)


def missing(pod: Json, find: Find) -> tuple[tuple[str, str], ...]:
    """(volume, what is missing) in the words of a kubelet; each volume once."""
    problems: dict[str, str] = {}
    for mount in _mounts(pod):
        held = find(mount.source)
        if held is None:
            problem = (
                "" if mount.optional else f'{mount.source.word} "{mount.source.name}" not found'
            )
        else:
            absent = [key for key in mount.keys if key not in _contents(held)]
            kind = "secret" if mount.source.kind == "Secret" else "config"
            problem = (
                f"references non-existent {kind} key: {absent[0]}"
                if absent and not mount.optional
                else ""
            )
        if problem:
            problems.setdefault(mount.volume, problem)
    return tuple(problems.items())


def misconfigured(pod: Json, container: Json, find: Find) -> str:
    """What the container's environment needs and is not there, in the words of a kubelet."""
    for source, optional in _bulk(container):
        if find(source) is None and not optional:
            return f'{source.word} "{source.name}" not found'
    for source, key, optional in _variables(container):
        held = find(source)
        if optional or (held is not None and key in _contents(held)):
            continue
        if held is None:
            return f'{source.word} "{source.name}" not found'
        namespace = pod["metadata"]["namespace"]
        return f"couldn't find key {key} in {source.kind} {namespace}/{source.name}"
    return ""


def credentials(pod: Json, find: Find) -> frozenset[str]:
    """The registries that the Docker configurations mounted into a pod can log in to."""
    hosts: set[str] = set()
    for mount in _mounts(pod):
        held = find(mount.source) if mount.source.kind == "Secret" else None
        text = (held or {}).get("data", {}).get(DOCKER_CONFIG_KEY)
        if text:
            hosts |= _registries(text)
    return frozenset(hosts)


def _registries(text: str) -> set[str]:
    """The hosts of a base64 `.dockerconfigjson`; none when it cannot be read."""
    try:
        config = msgspec.json.decode(base64.b64decode(text, validate=True))
        names = list(config["auths"])
    except (binascii.Error, msgspec.DecodeError, KeyError, TypeError):
        return set()
    return {
        name.removeprefix("https://").removeprefix("http://").partition("/")[0] for name in names
    }


def _containers(pod: Json) -> Iterator[Json]:
    yield from pod["spec"].get("initContainers") or ()
    yield from pod["spec"]["containers"]


def _variables(container: Json) -> Iterator[tuple[Source, str, bool]]:
    for variable in container.get("env") or ():
        origin = variable.get("valueFrom") or {}
        for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
            if origin.get(field):
                spec = origin[field]
                yield Source(kind, spec["name"]), spec["key"], bool(spec.get("optional"))


def _bulk(container: Json) -> Iterator[tuple[Source, bool]]:
    for origin in container.get("envFrom") or ():
        for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
            if origin.get(field):
                yield Source(kind, origin[field]["name"]), bool(origin[field].get("optional"))


def _contents(held: Json) -> frozenset[str]:
    return frozenset((*(held.get("data") or ()), *(held.get("binaryData") or ())))
