"""What a real server checks of built-in objects by code: selectors, keys, fields that never change.

Only what operators and their users run into; each text is the real server's.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from kaito.apiserver.builtin import definitions, podrules, policyrules, webhooks
from kaito.kube.labels import key_problems
from kaito.kube.objects import Json
from kaito.kube.schema import fields
from kaito.kube.schema.fields import FieldError
from kaito.kube.selectors import InvalidSelector, LabelSelector

Findings = Iterator[FieldError]
Rule = Callable[[Json, Json | None], Findings]

_IMMUTABLE: Final = "field is immutable"
_STATEFULSET_MAY_CHANGE: Final = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_CONFIG_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")
_CONFIG_KEY_TEXT: Final = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name', "
    " or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def check(group: str, kind: str, obj: Json, old: Json | None) -> list[FieldError]:
    """Findings about a built-in object; `old` is what it replaces."""
    return [found for rule in _RULES.get((group, kind), ()) for found in rule(obj, old)]


def _spec(obj: Json | None) -> Json:
    return (obj or {}).get("spec") or {}


def _replicas(obj: Json, _: Json | None) -> Findings:
    negative_keeps_all = obj.get("kind") == "StatefulSet"
    for name in ("replicas", "minReadySeconds", "revisionHistoryLimit"):
        value = _spec(obj).get(name)
        if negative_keeps_all and name == "revisionHistoryLimit":
            continue
        if value is not None and value < 0:
            path = f"spec.{name}"
            yield fields.invalid(path, value, "must be greater than or equal to 0")


def _selects_its_pods(kind: str) -> Rule:
    def rule(obj: Json, _: Json | None) -> Findings:
        spec = _spec(obj)
        selector = spec.get("selector")
        if selector is not None and not any(selector.values()):
            yield fields.invalid("spec.selector", {}, f"empty selector is invalid for {kind}")
            return
        labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
        try:
            fits = selector is not None and LabelSelector.of(selector).matches(labels or {})
        except InvalidSelector:
            yield fields.invalid("spec.selector", selector, "invalid label selector")
            return
        if not fits:
            path = "spec.template.metadata.labels"
            yield fields.invalid(path, labels, "`selector` does not match template `labels`")

    return rule


def _pods(path: str, restart: tuple[str, ...] = ("Always",)) -> Rule:
    def rule(obj: Json, _: Json | None) -> Findings:
        spec: Any = obj
        for step in path.split("."):
            spec = (spec or {}).get(step)
        spec = spec or {}
        templates = (obj.get("spec") or {}).get("volumeClaimTemplates") or ()
        claimed = frozenset((one.get("metadata") or {}).get("name") or "" for one in templates)
        yield from podrules.check(spec, path, claimed)
        policy = spec.get("restartPolicy", restart[0])
        if policy not in restart:
            where = f"{path}.restartPolicy"
            if restart == ("OnFailure", "Never"):
                yield fields.required(where, 'valid values: "OnFailure", "Never"')
            else:
                yield fields.not_supported(where, policy, restart)

    return rule


def _unchanged(*names: str) -> Rule:
    """Fields of `spec` that keep their first value."""

    def rule(obj: Json, old: Json | None) -> Findings:
        for name in names if old is not None else ():
            new, before = _spec(obj).get(name), _spec(old).get(name)
            if new != before:
                yield fields.invalid(f"spec.{name}", new, _IMMUTABLE)

    return rule


def _stateful_set(obj: Json, old: Json | None) -> Findings:
    if old is None:
        return
    new, before = _spec(obj), _spec(old)
    changed = {name for name in {*new, *before} if new.get(name) != before.get(name)}
    if changed - set(_STATEFULSET_MAY_CHANGE):
        *first, last = (f"'{name}'" for name in _STATEFULSET_MAY_CHANGE)
        yield fields.forbidden(
            "spec",
            f"updates to statefulset spec for fields other than {', '.join(first)} and {last} "
            "are forbidden",
        )


def _deployment_strategy(obj: Json, _: Json | None) -> Findings:
    strategy = _spec(obj).get("strategy") or {}
    if strategy.get("type") == "Recreate" and strategy.get("rollingUpdate") is not None:
        why = "may not be specified when strategy `type` is 'Recreate'"
        yield fields.forbidden("spec.strategy.rollingUpdate", why)


def _job(obj: Json, old: Json | None) -> Findings:
    spec = _spec(obj)
    name, uid = obj["metadata"].get("name"), obj["metadata"].get("uid")
    wanted = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    if not spec.get("manualSelector") and spec.get("selector") != wanted and name:
        yield fields.invalid("spec.selector", spec.get("selector"), "`selector` not auto-generated")
    if old is None:
        return
    before = _spec(old)
    indexed = spec.get("completionMode") == "Indexed"
    same_both = spec.get("completions") == spec.get("parallelism")
    if spec.get("completions") != before.get("completions") and not (indexed and same_both):
        yield fields.invalid("spec.completions", spec.get("completions"), _IMMUTABLE)
    for field in ("selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex"):
        if spec.get(field) != before.get(field):
            yield fields.invalid(f"spec.{field}", spec.get(field), _IMMUTABLE)
    if not _same_job_template(spec, before, old):
        template = (spec.get("template") or {}).get("spec")
        yield fields.invalid("spec.template.spec", template, _IMMUTABLE)


_WHILE_SUSPENDED: Final = ("nodeSelector", "tolerations", "affinity", "schedulingGates")


def _same_job_template(spec: Json, before: Json, old: Json) -> bool:
    """The pod template changes only where scheduling is concerned, before the first start."""
    new, was = (dict((s.get("template") or {}).get("spec") or {}) for s in (spec, before))
    if before.get("suspend") and not (old.get("status") or {}).get("startTime"):
        for name in _WHILE_SUSPENDED:
            new.pop(name, None)
            was.pop(name, None)
    return new == was


def _service(obj: Json, old: Json | None) -> Findings:
    spec = _spec(obj)
    ports = spec.get("ports") or ()
    if not ports and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName":
        yield fields.required("spec.ports")
    names: set[str] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        name = port.get("name")
        if len(ports) > 1 and not name:
            yield fields.required(f"{path}.name")
        elif name in names:
            yield fields.duplicate(f"{path}.name", name)
        names.add(name or "")
        for field in ("port", "targetPort"):
            yield from podrules.port_number(port.get(field), f"{path}.{field}")
    if old is not None and spec.get("type") != "ExternalName":
        new, before = spec.get("clusterIPs"), _spec(old).get("clusterIPs")
        if before and new != before and _spec(old).get("type") != "ExternalName":
            yield fields.invalid("spec.clusterIPs[0]", new, "may not change once set")


def _config(*parts: str) -> Rule:
    def rule(obj: Json, old: Json | None) -> Findings:
        for part in parts:
            for key in obj.get(part) or {}:
                if not _CONFIG_KEY.fullmatch(key):
                    yield fields.invalid(f"{part}[{key}]", key, _CONFIG_KEY_TEXT)
        if old is not None and old.get("immutable"):
            for part in ("immutable", *parts):
                if obj.get(part) != old.get(part):
                    yield fields.forbidden(part, "field is immutable when `immutable` is set")

    return rule


_SECRET_KEYS: Final = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def _secret(obj: Json, old: Json | None) -> Findings:
    kind, data = obj.get("type") or "Opaque", obj.get("data") or {}
    for key in _SECRET_KEYS.get(kind, ()):
        if key not in data:
            yield fields.required(f"data[{key}]")
    if kind == "kubernetes.io/dockerconfigjson" and ".dockerconfigjson" in data:
        yield from _docker_config(data[".dockerconfigjson"])
    if old is not None and kind != (old.get("type") or "Opaque"):
        yield fields.invalid("type", kind, _IMMUTABLE)


def _docker_config(encoded: str) -> Findings:
    import base64

    text = base64.b64decode(encoded).decode("utf-8", "replace")
    try:
        json.loads(text)
    except ValueError:
        why = (
            f"invalid character '{text[0]}' looking for beginning of value"
            if text
            else "unexpected end of JSON input"
        )
        path = "data[.dockerconfigjson]"
        yield fields.invalid(path, "<secret contents redacted>", why)


def _role_ref(obj: Json, old: Json | None) -> Findings:
    if old is not None and obj.get("roleRef") != old.get("roleRef"):
        ref = obj.get("roleRef") or {}
        names = {"APIGroup": "apiGroup", "Kind": "kind", "Name": "name"}
        shown = {go: ref.get(name, "") for go, name in names.items()}
        yield fields.invalid("roleRef", shown, "cannot change roleRef")


_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def _node(obj: Json, old: Json | None) -> Findings:
    yield from _taints(_spec(obj).get("taints") or ())
    provider = _spec(old).get("providerID")
    if provider and _spec(obj).get("providerID") != provider:
        why = 'node updates may not change providerID except from "" to valid'
        yield fields.forbidden("spec.providerID", why)


def _taints(taints: Sequence[Json]) -> Findings:
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(taints):
        path = f"metadata.taints[{index}]"
        key, effect = taint.get("key", ""), taint.get("effect") or ""
        for why in key_problems(key):
            yield fields.invalid(f"{path}.key", key, why)
        if not effect:
            yield fields.required(f"{path}.effect")
        elif effect not in _EFFECTS:
            yield fields.not_supported(f"{path}.effect", effect, _EFFECTS)
        if (key, effect) in seen:
            go = {"Key": key, "Value": taint.get("value", ""), "Effect": effect, "TimeAdded": None}
            shown = fields.Verbatim(json.dumps(go, separators=(",", ":")))
            why = "taints must be unique by key and effect pair"
            yield FieldError(path, fields.DUPLICATE, why, shown)
        seen.add((key, effect))


def _lease(obj: Json, _: Json | None) -> Findings:
    spec = _spec(obj)
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        yield fields.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
    transitions = spec.get("leaseTransitions")
    if transitions is not None and transitions < 0:
        why = "must be greater than or equal to 0"
        yield fields.invalid("spec.leaseTransitions", transitions, why)


def _policy_rules(obj: Json, _: Json | None) -> Findings:
    for index, rule in enumerate(obj.get("rules") or ()):
        if not rule.get("verbs"):
            why = "verbs must contain at least one value"
            yield fields.required(f"rules[{index}].verbs", why)


_TEMPLATE: Final = _pods("spec.template.spec")


def _ingress(obj: Json, _: Json | None) -> Findings:
    spec = _spec(obj)
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        why = "either `defaultBackend` or `rules` must be specified"
        yield fields.invalid("spec", None, why)


_ADMISSION: Final = "admissionregistration.k8s.io"
_RULES: Final[dict[tuple[str, str], tuple[Rule, ...]]] = {
    ("", "Pod"): (_pods("spec", ("Always", "OnFailure", "Never")), podrules.update),
    ("", "Service"): (_service,),
    ("", "ConfigMap"): (_config("data", "binaryData"),),
    ("", "Secret"): (_config("data"), _secret),
    ("", "Node"): (_node,),
    ("apps", "StatefulSet"): (
        _replicas,
        _selects_its_pods("statefulset"),
        _TEMPLATE,
        _stateful_set,
    ),
    ("apps", "Deployment"): (
        _replicas,
        _selects_its_pods("deployment"),
        _deployment_strategy,
        _TEMPLATE,
        _unchanged("selector"),
    ),
    ("apps", "ReplicaSet"): (
        _replicas,
        _selects_its_pods("replicaset"),
        _TEMPLATE,
        _unchanged("selector"),
    ),
    ("apps", "DaemonSet"): (_selects_its_pods("daemonset"), _TEMPLATE, _unchanged("selector")),
    ("batch", "Job"): (
        _job,
        _selects_its_pods("job"),
        _pods("spec.template.spec", ("OnFailure", "Never")),
    ),
    ("batch", "CronJob"): (_pods("spec.jobTemplate.spec.template.spec", ("OnFailure", "Never")),),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (definitions.check,),
    ("networking.k8s.io", "Ingress"): (_ingress,),
    (_ADMISSION, "ValidatingAdmissionPolicy"): (policyrules.policy,),
    (_ADMISSION, "ValidatingAdmissionPolicyBinding"): (policyrules.binding,),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): (webhooks.check,),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): (webhooks.check,),
    ("coordination.k8s.io", "Lease"): (_lease,),
    ("rbac.authorization.k8s.io", "Role"): (_policy_rules,),
    ("rbac.authorization.k8s.io", "ClusterRole"): (_policy_rules,),
    ("rbac.authorization.k8s.io", "RoleBinding"): (_role_ref,),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): (_role_ref,),
}
