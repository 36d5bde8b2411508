"""What a real server checks of a pod's specification by code."""

import re
from collections.abc import Iterator
from typing import Any, Final

from kaito.apiserver.names import dns_label
from kaito.kube import quantity
from kaito.kube.objects import Json
from kaito.kube.schema import fields
from kaito.kube.schema.fields import FieldError

Findings = Iterator[FieldError]

_MAY_CHANGE: Final = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)"
)
_SOURCES: Final[tuple[str, ...]] = (
    "emptyDir",
    "hostPath",
    "secret",
    "nfs",
    "iscsi",
    "persistentVolumeClaim",
    "downwardAPI",
    "configMap",
    "azureFile",
    "azureDisk",
    "projected",
    "csi",
    "ephemeral",
    "image",
)
"""In the order in which the server looks: the first is taken for what was meant."""
_HANDLERS: Final = frozenset({"httpGet", "tcpSocket", "exec", "grpc"})
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_NUMBERS: Final = (
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
)


def check(spec: Json, path: str, claimed: frozenset[str] = frozenset()) -> Findings:
    """Findings beyond what the schema tells. `claimed`: volumes that the pod's maker will add."""
    volumes: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or ()):
        name = volume.get("name") or ""
        yield from _name(name, f"{path}.volumes[{index}].name", volumes)
        yield from _one_source(volume, f"{path}.volumes[{index}]")
    containers: set[str] = set()
    for part in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(part) or ()):
            where = f"{path}.{part}[{index}]"
            yield from _name(container.get("name") or "", f"{where}.name", containers)
            if not container.get("image"):
                yield fields.required(f"{where}.image")
            yield from _container(container, where, claimed | volumes)


def _one_source(volume: Json, path: str) -> Findings:
    given = [source for source in _SOURCES if source in volume]
    given += [source for source in volume if source not in _SOURCES and source != "name"]
    for source in given[1:]:
        yield fields.forbidden(f"{path}.{source}", "may not specify more than 1 volume type")


def _name(name: str, path: str, taken: set[str]) -> Findings:
    why = dns_label(name) if name else None
    if why:
        yield fields.invalid(path, name, why)
    elif name in taken:
        yield fields.duplicate(path, name)
    taken.add(name)


def _container(container: Json, path: str, volumes: frozenset[str]) -> Findings:
    yield from _ports(container.get("ports") or (), path)
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes and mount.get("name"):
            where = f"{path}.volumeMounts[{index}].name"
            yield FieldError(where, fields.NOT_FOUND, "", mount["name"])
    yield from _resources(container.get("resources") or {}, f"{path}.resources")
    for name in _PROBES:
        if container.get(name) is not None:
            yield from _probe(container[name], f"{path}.{name}")


def _ports(ports: Any, path: str) -> Findings:
    names: set[str] = set()
    for index, port in enumerate(ports):
        where = f"{path}.ports[{index}]"
        if not port.get("containerPort"):
            yield fields.required(f"{where}.containerPort")
        else:
            yield from port_number(port["containerPort"], f"{where}.containerPort")
        name = port.get("name")
        if name and name in names:
            yield fields.duplicate(f"{where}.name", name)
        names.add(name)


def port_number(value: Any, path: str) -> Findings:
    """A port is a number in range, or the name of one."""
    if isinstance(value, int) and not 1 <= value <= 65535:
        yield fields.invalid(path, value, "must be between 1 and 65535, inclusive")
    if isinstance(value, str):
        if len(value) > _LONGEST_PORT:
            yield fields.invalid(path, value, f"must be no more than {_LONGEST_PORT} characters")
        if not re.fullmatch(r"[-a-z0-9]+", value):
            why = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
            yield fields.invalid(path, value, why)
        if not re.search(r"[a-z]", value):
            yield fields.invalid(path, value, "must contain at least one letter (a-z)")
        if "--" in value:
            yield fields.invalid(path, value, "must not contain consecutive hyphens")
        if value.startswith("-") or value.endswith("-"):
            yield fields.invalid(path, value, "must not begin or end with a hyphen")


_LONGEST_PORT: Final = 15
_NEGATIVE: Final = "must be greater than or equal to 0"


def _resources(resources: Json, path: str) -> Findings:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for part, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            if quantity.parse(amount) < 0:
                yield fields.invalid(f"{path}.{part}[{name}]", amount, _NEGATIVE)
    for name, asked in requests.items():
        limit = limits.get(name)
        # What can be split and overcommitted is the kubelet's own; anything else is a device.
        device = "/" in name and not name.startswith("kubernetes.io/")
        if limit is None:
            if device:
                why = "Limit must be set for non overcommitable resources"
                yield fields.required(f"{path}.limits", why)
        elif quantity.parse(asked) > quantity.parse(limit):
            why = f"must be less than or equal to {name} limit of {limit}"
            yield fields.invalid(f"{path}.requests", asked, why)
        elif device and quantity.parse(asked) != quantity.parse(limit):
            why = f"must be equal to {name} limit of {limit}"
            yield fields.invalid(f"{path}.requests", asked, why)


def _probe(probe: Json, path: str) -> Findings:
    if not _HANDLERS & set(probe):
        yield fields.required(path, "must specify a handler type")
    for handler in ("httpGet", "tcpSocket", "grpc"):
        if probe.get(handler) is not None:
            yield from port_number(probe[handler].get("port", 0), f"{path}.{handler}.port")
    for name in _PROBE_NUMBERS:
        value = probe.get(name)
        if value is not None and value < 0:
            yield fields.invalid(f"{path}.{name}", value, _NEGATIVE)


def update(obj: Json, old: Json | None) -> Findings:
    """A pod's specification hardly changes once it is made."""
    if old is None:
        return
    new, before = (_fixed(pod) for pod in (obj, old))
    if new != before:
        yield fields.forbidden("spec", _MAY_CHANGE)
    kept = [gate["name"] for gate in (old.get("spec") or {}).get("schedulingGates") or ()]
    for index, gate in enumerate((obj.get("spec") or {}).get("schedulingGates") or ()):
        if gate["name"] not in kept:
            why = f"only deletion is allowed, but found new scheduling gate '{gate['name']}'"
            yield fields.forbidden(f"spec.schedulingGates[{index}].name", why)


def _fixed(pod: Json) -> Json:
    spec = dict(pod.get("spec") or {})
    for part in ("containers", "initContainers"):
        if part in spec:
            spec[part] = [{**container, "image": ""} for container in spec[part]]
    for name in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        spec.pop(name, None)
    return spec
