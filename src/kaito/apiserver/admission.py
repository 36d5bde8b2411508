"""Admission webhooks: others are asked before a write is committed.

See `asking` for how a write waits for them: not at all, it is attempted again.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Final, final

import msgspec

from kaito.apiserver.asking import Question, Read, Unanswered, internal
from kaito.apiserver.builtin.clients import REVIEWS
from kaito.apiserver.converting import convert
from kaito.apiserver.core import Call, Core, encode, loaded, unloaded
from kaito.apiserver.kinds import Kind
from kaito.apiserver.status import Refused, forbidden
from kaito.apiserver.webhookcalls import CallFailed, endpoint_of, unread
from kaito.kube.objects import Json, ObjectKey
from kaito.kube.patches import PatchError, json_patch
from kaito.kube.selectors import LabelSelector

MUTATING: Final = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
VALIDATING: Final = "validatingwebhookconfigurations.admissionregistration.k8s.io"
_GROUP: Final = "admission.k8s.io"
_KIND: Final = "AdmissionReview"
SYSTEM: Final = ("uid", "resourceVersion", "generation", "creationTimestamp")
"""What a new object has been given before it is mutated, and does not show yet."""

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


def configured(core: Core) -> bool:
    """Whether anybody wants to be asked."""
    return bool(len(core.storage.bucket(MUTATING)) or len(core.storage.bucket(VALIDATING)))


def _read(key: bytes, version: str) -> Read:
    """What goes wrong is an answer too."""

    def read(answer: bytes | CallFailed, uid: str) -> Mapping[bytes, Any]:
        if isinstance(answer, CallFailed):
            return {key: CallFailed(f"failed to call webhook: {answer}")}
        return {key: _response(answer, uid, version)}

    return read


def _response(body: bytes, uid: str, version: str) -> Json | CallFailed:
    """The `response` of an AdmissionReview, or what is wrong with it."""
    try:
        review = _decode(body)
    except msgspec.DecodeError as error:
        return CallFailed(f"failed to call webhook: {unread(body, error)}")
    head, wanted = (review.get("apiVersion", ""), review.get("kind", "")), f"{_GROUP}/{version}"
    response = review.get("response")
    if head[1] and head != (wanted, _KIND):
        return CallFailed(f"failed to call webhook: {_other(*head, version)}")
    # The first version of reviews demanded neither its own name nor the uid.
    strict = version != "v1beta1"
    if strict and head != (wanted, _KIND):
        why = f"expected webhook response of {wanted}, Kind={_KIND}, got /, Kind="
    elif not isinstance(response, dict):
        why = "webhook response was absent"
    elif strict and response.get("uid") != uid:
        why = f'expected response.uid="{uid}", got "{response.get("uid", "")}"'
    else:
        if not strict and response.get("patch"):
            response.setdefault("patchType", "JSONPatch")
        return response
    return CallFailed(f"received invalid webhook response: {why}")


def _other(api_version: str, kind: str, version: str) -> str:
    """Why an answer of another kind cannot be read."""
    group, _, given = api_version.rpartition("/")
    if (group, kind) == (_GROUP, _KIND) and given in REVIEWS:
        return f"converting ({given}.{_KIND}) to ({version}.{_KIND}): unknown conversion"
    scheme = "pkg/runtime/scheme.go:111"
    return f'no kind "{kind}" is registered for version "{api_version}" in scheme "{scheme}"'


# ---- the two phases


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A write as webhooks are told of it."""

    call: Call
    operation: str
    obj: Json | None
    old: Json | None
    options: Json | None
    name: str
    """As it was sent; empty: to be generated."""
    part: tuple[str, str, str] | None = None
    """Group, version and kind of `obj`, where it is not the object that the path names."""


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
    patched = _patched(_told(subject, kind, deepcopy(subject.obj)), operations)
    if subject.part is None:
        obj = _settled(subject.call, kind, patched)
    else:
        obj = _part(subject.call, subject.part, patched)
    return obj != subject.obj, replace(subject, obj=obj)


def _patched(obj: Json, operations: list[Json]) -> Json:
    patched: Any = obj
    for operation in operations:
        try:
            patched = json_patch(patched, [operation])
        except PatchError as error:
            raise internal(_misfit(patched, operation)) from error
    if not isinstance(patched, dict):
        raise internal("the patch of a webhook leaves no object")
    if patched.get("metadata") is None:
        patched["metadata"] = {}
    return patched


def _misfit(obj: Json, operation: Json) -> str:
    """Why an operation does not apply, in the words of the library that the real server uses."""
    kind, path = operation.get("op"), str(operation.get("path", ""))
    *steps, last = path.split("/")[1:] or [""]
    holder: Any = obj
    for step in steps:
        holder = holder.get(step) if isinstance(holder, dict) else None
    match kind:
        case "test":
            return f"testing value {path} failed: test failed"
        case "add" | "remove" | "replace" if holder is None:
            told = f'"{path}"' if kind != "replace" else path
            return f"{kind} operation does not apply: doc is missing path: {told}: missing value"
        case "remove":
            why = f"Unable to remove nonexistent key: {last}: missing value"
            return f"error in remove for path: '{path}': {why}"
        case "replace":
            return f"replace operation does not apply: doc is missing key: {path}: missing value"
        case _:
            return f"Unexpected kind: {kind}"


def _settled(call: Call, kind: Kind, patched: Json) -> Json:
    """What a patch brought is defaulted in the version that was patched, and follows the schema of
    the request's like what a client sends."""
    schemas = call.core.schemas
    if (schema := call.core.schema(kind)) is not None:
        if not kind.custom:
            _decoded(call, kind, patched)
        schemas.default(schema, patched)
    obj = _shown(call, call.kind, patched, of=kind)
    if kind.custom and (schema := call.core.schema(call.kind)) is not None:
        schemas.decode(schema, obj)
    return obj


def _part(call: Call, part: tuple[str, str, str], patched: Json) -> Json:
    schema = call.core.schemas.lookup(*part)
    if schema is not None:
        call.core.schemas.decode(schema, patched)
    return patched


def _decoded(call: Call, kind: Kind, patched: Json) -> None:
    """Read what a patch made of a built-in object; what does not fit is the webhook's fault."""
    schema, given = call.core.schema(kind), (patched.get("apiVersion"), patched.get("kind"))
    if given != (kind.resource.api_version, kind.resource.kind):
        raise internal(f"a webhook made {given[1]} of {given[0]} of a {kind.resource.kind}")
    try:
        if schema is not None:
            call.core.schemas.decode(schema, patched)
    except Refused as refused:
        why = refused.message.partition(f"cannot be handled as a {kind.resource.kind}: ")[2]
        raise internal(why or refused.message) from refused


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
        why = f"received undecodable patch in webhook response: {_undecodable(patch, error)}"
        raise CallFailed(why) from error


def _undecodable(patch: Any, error: Exception) -> str:
    """In Go's words, where the first character is wrong already."""
    try:
        text = base64.b64decode(patch).decode().lstrip()
    except (binascii.Error, TypeError, UnicodeDecodeError):
        return str(error)
    if text and text[0] not in '{["0123456789-tfn':
        return f"invalid character '{text[0]}' looking for beginning of value"
    return str(error)


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
        if warning and str(warning).isprintable():
            subject.call.warn(str(warning))
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


def constrained(subject: Subject, constraints: Json) -> bool:
    """Whether the `matchConstraints` or `matchResources` of a policy choose this write."""
    excluded = {**constraints, "rules": constraints.get("excludeResourceRules")}
    if excluded["rules"] and _ruled(subject, excluded) is not None:
        return False
    rules = constraints.get("resourceRules")
    if rules and _ruled(subject, {**constraints, "rules": rules}) is None:
        return False
    return _chosen(subject, constraints)


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
    names = rule.get("resourceNames")  # only rules of policies have any
    if names and subject.name not in names:
        return False
    return scope in ("*", "Namespaced" if resource.namespaced else "Cluster") and all(
        names & set(rule.get(name) or ()) for name, names in wanted.items()
    )


def _names(plural: str, subresource: str) -> set[str]:
    """How a rule may name this resource."""
    if not subresource:
        return {"*", "*/*", plural}
    return {"*/*", f"*/{subresource}", f"{plural}/*", f"{plural}/{subresource}"}


def _selected(subject: Subject, hook: Json) -> bool:
    return _chosen(subject, hook) and _conditions_hold(subject, hook)


def _chosen(subject: Subject, hook: Json) -> bool:
    """By the labels of the object and of its namespace."""
    objects = [found for found in (subject.obj, subject.old) if found is not None]
    selector = LabelSelector.of(hook.get("objectSelector") or {})
    # What has no metadata (how somebody connects) is only asked about where nothing is selected.
    labels = [o["metadata"].get("labels") or {} for o in objects if "metadata" in o]
    if not selector.empty and not any(map(selector.matches, labels)):
        return False
    of_namespace = _namespace_labels(subject, objects[0])
    if of_namespace is not None:
        namespaces = LabelSelector.of(hook.get("namespaceSelector") or {})
        if not namespaces.matches(of_namespace):
            return False
    return True


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
    expressions, failed = Expressions(names, ()), ""
    for condition in conditions:
        try:
            if not expressions.evaluate(condition["expression"]):
                return False  # Whatever the others are.
        except ExpressionError as error:
            failed = failed or str(error)
    if failed and hook.get("failurePolicy", "Fail") != "Ignore":
        raise forbidden(subject.call.kind.resource, subject.name, failed)
    return not failed


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
    version = next((v for v in hook.get("admissionReviewVersions") or () if v in REVIEWS), "v1")
    review = {
        "kind": _KIND,
        "apiVersion": f"{_GROUP}/{version}",
        "request": {"uid": "", **_request(subject, kind)},
    }
    timeout = hook.get("timeoutSeconds") or 10
    key = encode([place, hook["name"], review["request"]])
    endpoint = endpoint_of(hook["clientConfig"], f"{timeout}s")
    return key, Question(
        endpoint=endpoint, timeout=timeout, review=review, read=_read(key, version)
    )


def _request(subject: Subject, kind: Kind) -> Json:
    call, target = subject.call, subject.call.target
    subresource = {"subResource": target.subresource} if target.subresource else {}
    asked = {"requestSubResource": target.subresource} if target.subresource else {}
    name, namespace = subject.name, target.namespace
    return {
        "kind": _kind_of(subject, kind),
        "resource": _resource_of(kind),
        **subresource,
        "requestKind": _kind_of(subject, call.kind),
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
        "object": None if subject.obj is None else _told(subject, kind, subject.obj),
        "oldObject": None if subject.old is None else _told(subject, kind, subject.old),
        "dryRun": bool((subject.options or {}).get("dryRun")),
        "options": subject.options,
    }


def _told(subject: Subject, kind: Kind, obj: Json) -> Json:
    return obj if subject.part is not None else _shown(subject.call, kind, obj)


def _kind_of(subject: Subject, kind: Kind) -> Json:
    if subject.part is not None:
        return dict(zip(("group", "version", "kind"), subject.part, strict=True))
    group, version = kind.resource.group, kind.resource.version
    return {"group": group, "version": version, "kind": kind.resource.kind}


def _resource_of(kind: Kind) -> Json:
    group, version = kind.resource.group, kind.resource.version
    return {"group": group, "version": version, "resource": kind.resource.plural}
