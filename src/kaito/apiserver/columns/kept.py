"""Kinds that are kept and that nothing acts on: traffic, quotas, autoscalers, templates."""

from typing import Any, Final

from kaito.apiserver.columns.cells import (
    AGE,
    NAME,
    NONE,
    UNKNOWN,
    at,
    column,
    containers_of,
    joined,
    labels_text,
    number,
    plain,
    selector_text,
    text,
)
from kaito.apiserver.kinds import Column
from kaito.kube.objects import Json

_TEMPLATE: Final = ("spec", "template", "spec")


def _hosts(ingress: Json) -> str:
    hosts = [rule["host"] for rule in at(ingress, "spec", "rules") or () if rule.get("host")]
    return joined(hosts) or "*"


def _addresses(ingress: Json) -> str:
    found = at(ingress, "status", "loadBalancer", "ingress") or ()
    return joined(one.get("ip") or one.get("hostname") or "" for one in found)


INGRESSES: Final[tuple[Column, ...]] = (
    NAME,
    column("Class", text("spec", "ingressClassName")),
    plain("Hosts", _hosts),
    plain("Address", _addresses),
    plain("Ports", lambda obj: "80, 443" if at(obj, "spec", "tls") else "80"),
    AGE,
)
INGRESSCLASSES: Final[tuple[Column, ...]] = (
    NAME,
    column("Controller", text("spec", "controller")),
    plain("Parameters", lambda obj: _reference(at(obj, "spec", "parameters"))),
    AGE,
)
NETWORKPOLICIES: Final[tuple[Column, ...]] = (
    NAME,
    plain("Pod-Selector", lambda obj: selector_text(at(obj, "spec", "podSelector"))),
    AGE,
)
RUNTIMECLASSES: Final[tuple[Column, ...]] = (NAME, column("Handler", text("handler")), AGE)


def _reference(reference: Json | None) -> str:
    if not reference:
        return NONE
    group = reference.get("apiGroup")
    kind = f"{reference['kind']}.{group}" if group else reference["kind"]
    return f"{kind}/{reference['name']}"


def _target(metric: Json, current: Json | None) -> str:
    """One metric as `cpu: 40%/50%`."""
    source = metric.get("resource") or {}
    target = source.get("target") or {}
    now = ((current or {}).get("resource") or {}).get("current") or {}
    if "averageUtilization" in target:
        known = now.get("averageUtilization")
        return f"{source['name']}: {UNKNOWN if known is None else f'{known}%'}/{_share(target)}"
    return f"{source.get('name')}: {now.get('averageValue', UNKNOWN)}/{target.get('averageValue')}"


def _share(target: Json) -> str:
    return f"{target['averageUtilization']}%"


def _targets(scaler: Json) -> str:
    metrics = at(scaler, "spec", "metrics") or []
    current = at(scaler, "status", "currentMetrics") or []
    told = [
        _target(metric, current[index] if index < len(current) else None)
        for index, metric in enumerate(metrics)
        if metric.get("type") == "Resource"
    ]
    return ", ".join(told) or NONE


def _scaled(scaler: Json) -> str:
    target = at(scaler, "spec", "scaleTargetRef") or {}
    return f"{target.get('kind')}/{target.get('name')}"


def _least(scaler: Json) -> Any:
    least = at(scaler, "spec", "minReplicas")
    return "<unset>" if least is None else str(least)


AUTOSCALERS: Final[tuple[Column, ...]] = (
    NAME,
    plain("Reference", _scaled),
    plain("Targets", _targets),
    plain("MinPods", _least),
    column("MaxPods", number("spec", "maxReplicas")),
    column("Replicas", number("status", "currentReplicas")),
    AGE,
)


def _used(*, limits: bool) -> Column:
    def cell(quota: Json) -> str:
        hard, used = at(quota, "status", "hard") or {}, at(quota, "status", "used") or {}
        wanted = at(quota, "spec", "hard") or {}
        names = [name for name in sorted(wanted) if name.startswith("limits.") == limits]
        return ", ".join(f"{n}: {used.get(n, '0')}/{wanted.get(n, hard.get(n))}" for n in names)

    return plain("Limit" if limits else "Request", cell)


RESOURCEQUOTAS: Final[tuple[Column, ...]] = (NAME, _used(limits=False), _used(limits=True), AGE)


def _narrow(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    return tuple(
        Column(name=one.name, type=one.type, cell=one.cell, description=one.description)
        for one in columns
    )


PODTEMPLATES: Final[tuple[Column, ...]] = (
    NAME,
    *_narrow(containers_of("template", "spec")),
    plain("Pod Labels", lambda obj: labels_text(at(obj, "template", "metadata", "labels"))),
)
REPLICATIONCONTROLLERS: Final[tuple[Column, ...]] = (
    NAME,
    column("Desired", number("spec", "replicas"), "integer"),
    column("Current", number("status", "replicas"), "integer"),
    column("Ready", number("status", "readyReplicas"), "integer"),
    AGE,
    *containers_of(*_TEMPLATE),
    Column(
        name="Selector",
        type="string",
        cell=lambda obj, _: labels_text(at(obj, "spec", "selector")),
        priority=1,
    ),
)
