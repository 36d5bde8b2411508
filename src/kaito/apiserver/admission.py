"""Admission webhooks: others are asked before a write is committed.

See `asking` for how a write waits for them: not at all, it is attempted again.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, final

import msgspec

from kaito.apiserver.asking import Question, Read, Unanswered, internal
from kaito.apiserver.converting import convert
from kaito.apiserver.core import Call, Core, encode, loaded, unloaded
from kaito.apiserver.kinds import Kind
from kaito.apiserver.status import Refused
from kaito.apiserver.webhookcalls import CallFailed, endpoint_of, unread
from kaito.kube.objects import Json, ObjectKey
from kaito.kube.patches import PatchError, json_patch
from kaito.kube.selectors import LabelSelector

MUTATING: Final = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
VALIDATING: Final = "validatingwebhookconfigurations.admissionregistration.k8s.io"
_REVIEW: Final = "admission.k8s.io/v1"
SYSTEM: Final = ("uid", "resourceVersion", "generation", "creationTimestamp")
"""What a new object has been given before it is mutated, and does not show yet."""

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


def configured(core: Core) -> bool:
    """Whether anybody wants to be asked."""
    return bool(len(core.storage.bucket(MUTATING)) or len(core.storage.bucket(VALIDATING)))


def _read(key: bytes) -> Read:
    """What goes wrong is an answer too."""

    def read(answer: bytes | CallFailed, uid: str) -> Mapping[bytes, Any]:
        if isinstance(answer, CallFailed):
            return {key: CallFailed(f"failed to call webhook: {answer}")}
        return {key: _response(answer, uid)}

    return read


def _response(body: bytes, uid: str) -> Json | CallFailed:
    """The `response` of an AdmissionReview, or what is wrong with it."""
    try:
        review = _decode(body)
    except msgspec.DecodeError as error:
        return CallFailed(f"failed to call webhook: {unread(body, error)}")
    head = (review.get("apiVersion", ""), review.get("kind", ""))
    if head[1] and head != (_REVIEW, "AdmissionReview"):
        why = f'no kind "{head[1]}" is registered for version "{head[0]}" in scheme'
        return CallFailed(f'failed to call webhook: {why} "pkg/runtime/scheme.go:111"')
    response = review.get("response")
    if head != (_REVIEW, "AdmissionReview"):
        got = f"{head[0] or '/'}, Kind={head[1]}"
        why = f"expected webhook response of {_REVIEW}, Kind=AdmissionReview, got {got}"
    elif not isinstance(response, dict):
        why = "webhook response was absent"
    elif response.get("uid") != uid:
        why = f'expected response.uid="{uid}", got "{response.get("uid", "")}"'
    else:
        return response
    return CallFailed(f"received invalid webhook response: {why}")


# ---- the two phases


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A write as webhooks are told of it."""

    call: Call
    operation: str
    obj: Json | None
    old: Json | None
    options: Json


def mutated(subject: Subject) -> Json | None:
    """The object as mutating webhooks leave it: in the order of the configurations' names, and once
    more those that want to see what later ones changed."""
    invoked: list[tuple[str, Json]] = []
    again: dict[int, None] = {}
    hooks = list(_configured(subject.call, MUTATING))
    for index, (name, hook) in enumerate(hooks):
        changed, subject = _mutate(subject, hook, f"{index}")
        if changed:
            again.update(dict.fromkeys(range(len(invoked))))
        invoked.append((name, hook))
    for index in again:
        hook = invoked[index][1]
        if hook.get("reinvocationPolicy") == "IfNeeded":
            _, subject = _mutate(subject, hook, f"again {index}")
    return subject.obj


def _mutate(subject: Subject, hook: Json, place: str) -> tuple[bool, Subject]:
    kind = _matched(subject, hook)
    if kind is None:
        return False, subject
    key, question = _question(subject, hook, kind, place)
    answer = _known(subject, key)
    if answer is None:
        raise Unanswered([question])
    try:
        operations = _operations(subject, hook, answer)
    except CallFailed as failed:
        _failed(hook, failed)
        return False, subject
    if not operations:
        return False, subject
    if subject.obj is None:
        told = f'admission webhook "{hook["name"]}" attempted to modify the object'
        raise internal(f"{told}, which is not supported for this operation")
    obj = _settled(
        subject.call, kind, _patched(_shown(subject.call, kind, subject.obj), operations)
    )
    return obj != subject.obj, Subject(
        call=subject.call,
        operation=subject.operation,
        obj=obj,
        old=subject.old,
        options=subject.options,
    )


def _patched(obj: Json, operations: list[Json]) -> Json:
    try:
        patched = json_patch(obj, operations)
    except PatchError as error:
        raise internal(str(error)) from error
    if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
        raise internal("the patch of a webhook leaves no object")
    return patched


def _settled(call: Call, kind: Kind, patched: Json) -> Json:
    """What a patch brought is defaulted in the version that was patched, and follows the schema of
    the request's like what a client sends."""
    schemas = call.core.schemas
    if (schema := call.core.schema(kind)) is not None:
        if not kind.custom:
            schemas.decode(schema, patched)
        schemas.default(schema, patched)
    obj = _shown(call, call.kind, patched, of=kind)
    if kind.custom and (schema := call.core.schema(call.kind)) is not None:
        schemas.decode(schema, obj)
    return obj


def _operations(subject: Subject, hook: Json, answer: Json | CallFailed) -> list[Json]:
    response = _allowed(subject, hook, answer)
    patch, how = response.get("patch"), response.get("patchType")
    wrong = "received invalid webhook response: webhook returned"
    if patch and not how:
        raise CallFailed(f"{wrong} response.patch but not response.patchType")
    if how and not patch:
        raise CallFailed(f"{wrong} response.patchType but not response.patch")
    if not patch:
        return []
    try:
        return msgspec.json.decode(base64.b64decode(patch), type=list[dict[str, Any]])
    except (msgspec.DecodeError, binascii.Error, TypeError) as error:
        why = f"received undecodable patch in webhook response: {error}"
        raise CallFailed(why) from error


def validated(subject: Subject) -> None:
    """Ask every validating webhook, all at once. Raises Refused when one denies."""
    found: list[tuple[Json, bytes]] = []
    missing: list[Question] = []
    for index, (_, hook) in enumerate(_configured(subject.call, VALIDATING)):
        if (kind := _matched(subject, hook)) is None:
            continue
        key, question = _question(subject, hook, kind, f"v{index}")
        found.append((hook, key))
        if _known(subject, key) is None:
            missing.append(question)
    if missing:
        raise Unanswered(missing)
    for hook, key in found:
        answer = _known(subject, key)
        try:
            if answer is not None and _allowed(subject, hook, answer).get("patch"):
                why = "validating webhook may not return response.patch"
                raise CallFailed(f"received invalid webhook response: {why}")
        except CallFailed as failed:
            _failed(hook, failed)


def _allowed(subject: Subject, hook: Json, answer: Json | CallFailed) -> Json:
    """The answer, if it allows. Raises Refused if not, CallFailed if there is none."""
    if isinstance(answer, CallFailed):
        raise answer
    for warning in answer.get("warnings") or ():
        if warning:
            subject.call.warn(str(warning).replace("\n", ""))
    if answer.get("allowed"):
        return answer
    status = answer.get("status") or {}
    why = status.get("message") or status.get("reason")
    told = f'admission webhook "{hook["name"]}" denied the request'
    code = status.get("code") or 0
    raise Refused(
        max(code, 400),
        status.get("reason") or "",
        f"{told}: {why}" if why else f"{told} without explanation",
        details=status.get("details"),
    )


def _failed(hook: Json, failed: CallFailed) -> None:
    """A webhook that cannot be asked lets the write pass only if its configuration says so."""
    if hook.get("failurePolicy", "Fail") != "Ignore":
        raise internal(f'failed calling webhook "{hook["name"]}": {failed}') from failed


# ---- which webhooks, and what they are shown


def _configured(call: Call, bucket: str) -> Iterator[tuple[str, Json]]:
    """Every webhook, by configuration name and then in the order written there."""
    if call.kind.resource.group == "admissionregistration.k8s.io":
        return  # Or a webhook could keep itself from being removed.
    for stored in list(call.core.storage.bucket(bucket).scan()):
        for hook in stored.json().get("webhooks") or ():
            yield stored.key.name, hook


def _matched(subject: Subject, hook: Json) -> Kind | None:
    """The version of the kind in which this webhook is to see the object; None: not at all."""
    kind = _ruled(subject, hook)
    if kind is None or not _selected(subject, hook):
        return None
    return kind


def _ruled(subject: Subject, hook: Json) -> Kind | None:
    call, rules = subject.call, hook.get("rules") or ()
    kinds = [call.kind]
    if hook.get("matchPolicy", "Equivalent") == "Equivalent":
        kinds += [k for k in call.core.kinds if k.bucket == call.kind.bucket and k != call.kind]
    for kind in kinds:
        if any(_rule_matches(rule, kind, subject) for rule in rules):
            return kind
    return None


def _rule_matches(rule: Json, kind: Kind, subject: Subject) -> bool:
    resource = kind.resource
    wanted = {
        "operations": {"*", subject.operation},
        "apiGroups": {"*", resource.group},
        "apiVersions": {"*", resource.version},
        "resources": _names(resource.plural, subject.call.target.subresource),
    }
    scope = rule.get("scope") or "*"
    return scope in ("*", "Namespaced" if resource.namespaced else "Cluster") and all(
        names & set(rule.get(name) or ()) for name, names in wanted.items()
    )


def _names(plural: str, subresource: str) -> set[str]:
    """How a rule may name this resource."""
    if not subresource:
        return {"*", "*/*", plural}
    return {"*/*", f"*/{subresource}", f"{plural}/*", f"{plural}/{subresource}"}


def _selected(subject: Subject, hook: Json) -> bool:
    objects = [found for found in (subject.obj, subject.old) if found is not None]
    selector = LabelSelector.of(hook.get("objectSelector") or {})
    if not any(selector.matches(o["metadata"].get("labels") or {}) for o in objects):
        return False
    labels = _namespace_labels(subject, objects[0])
    if labels is not None:
        namespaces = LabelSelector.of(hook.get("namespaceSelector") or {})
        if not namespaces.matches(labels):
            return False
    return _conditions_hold(subject, hook)


def _namespace_labels(subject: Subject, obj: Json) -> Json | None:
    """Of the object's namespace; of a namespace itself; None for other things without one."""
    call = subject.call
    if call.kind.resource.group_resource == "namespaces":
        found: Json = obj["metadata"].get("labels") or {}
        return found
    if not call.kind.resource.namespaced:
        return None
    stored = call.core.storage.bucket("namespaces").get(ObjectKey("", call.target.namespace))
    return {} if stored is None else dict(stored.labels)


def _conditions_hold(subject: Subject, hook: Json) -> bool:
    conditions = hook.get("matchConditions") or ()
    if not conditions:
        return True
    from kaito.kube.schema.expressions import ExpressionError, Expressions

    request = _request(subject, subject.call.kind)
    names = {"object": subject.obj, "oldObject": subject.old, "request": request}
    expressions = Expressions(names, ())
    try:
        return all(expressions.evaluate(condition["expression"]) for condition in conditions)
    except ExpressionError as error:
        _failed(hook, CallFailed(str(error)))
        return False


def _shown(call: Call, wanted: Kind, obj: Json, *, of: Kind | None = None) -> Json:
    """An object of one version (the request's) as it is in another; a copy in any case."""
    kind, copied = of or call.kind, deepcopy(obj)
    if kind == wanted:
        return copied
    if kind.custom:
        return deepcopy(convert(call, copied, wanted.resource.api_version))
    return loaded(wanted, unloaded(kind, copied))


def _known(subject: Subject, key: bytes) -> Json | CallFailed | None:
    answers = subject.call.answers
    return None if answers is None else answers.known.get(key)


def _question(subject: Subject, hook: Json, kind: Kind, place: str) -> tuple[bytes, Question]:
    """And what makes it the same question when it is met again."""
    review = {
        "kind": "AdmissionReview",
        "apiVersion": _REVIEW,
        "request": {"uid": "", **_request(subject, kind)},
    }
    timeout = hook.get("timeoutSeconds") or 10
    key = encode([place, hook["name"], review["request"]])
    endpoint = endpoint_of(hook["clientConfig"], f"{timeout}s")
    return key, Question(endpoint=endpoint, timeout=timeout, review=review, read=_read(key))


def _request(subject: Subject, kind: Kind) -> Json:
    call, target = subject.call, subject.call.target
    any_object = subject.obj or subject.old or {}
    meta = any_object.get("metadata") or {}
    subresource = {"subResource": target.subresource} if target.subresource else {}
    asked = {"requestSubResource": target.subresource} if target.subresource else {}
    name, namespace = meta.get("name") or target.name, meta.get("namespace") or ""
    return {
        "kind": _kind_of(kind),
        "resource": _resource_of(kind),
        **subresource,
        "requestKind": _kind_of(call.kind),
        "requestResource": _resource_of(call.kind),
        **asked,
        **({"name": name} if name else {}),
        **({"namespace": namespace} if namespace else {}),
        "operation": subject.operation,
        "userInfo": {
            "username": call.user.name,
            **({"uid": call.user.uid} if call.user.uid else {}),
            "groups": list(call.user.groups),
        },
        "object": None if subject.obj is None else _shown(call, kind, subject.obj),
        "oldObject": None if subject.old is None else _shown(call, kind, subject.old),
        "dryRun": bool(subject.options.get("dryRun")),
        "options": subject.options,
    }


def _kind_of(kind: Kind) -> Json:
    group, version = kind.resource.group, kind.resource.version
    return {"group": group, "version": version, "kind": kind.resource.kind}


def _resource_of(kind: Kind) -> Json:
    group, version = kind.resource.group, kind.resource.version
    return {"group": group, "version": version, "resource": kind.resource.plural}
