"""Webhooks asked about what is not the object that a path names: what is sent to a subresource, a
question, and how somebody wants to connect."""

from dataclasses import replace
from typing import Final

from kaito.apiserver.admission import Subject, mutated, validated
from kaito.apiserver.core import Call
from kaito.apiserver.options import WriteOptions
from kaito.apiserver.reviewing import subject_of
from kaito.apiserver.routing import is_true
from kaito.kube.objects import Json

Part = tuple[str, str, str]
"""Group, version and kind."""
SCALE: Final = ("autoscaling", "v1", "Scale")
BINDING: Final = ("", "v1", "Binding")
EVICTION: Final = ("policy", "v1", "Eviction")
TOKEN: Final = ("authentication.k8s.io", "v1", "TokenRequest")


def mutate(
    call: Call, part: Part, obj: Json, options: WriteOptions, old: Json | None = None
) -> Json:
    """What is sent to a subresource, as mutating webhooks leave it."""
    if not call.reviewed:
        return obj
    subject = subject_of(call, _headed(part, obj), old, options, call.target.name)
    found = mutated(replace(subject, part=part))
    return obj if found is None else found


def validate(
    call: Call, part: Part, obj: Json, options: WriteOptions, old: Json | None = None
) -> None:
    """Raises Refused when a webhook denies what a subresource is about to do."""
    if call.reviewed:
        subject = subject_of(call, _headed(part, obj), old, options, call.target.name)
        validated(replace(subject, part=part))


def question(call: Call, obj: Json, status: Json) -> Json:
    """A review that is only answered, as mutating webhooks leave it; validating ones may deny."""
    if not call.reviewed:
        return obj
    namespace = {"namespace": call.target.namespace} if call.target.namespace else {}
    meta = {**(obj.get("metadata") or {}), **namespace}
    subject = subject_of(
        call, {**obj, "metadata": meta, "status": status}, None, WriteOptions(), ""
    )
    found = mutated(subject) or obj
    validated(replace(subject, obj=found))
    return found


_OPTIONS: Final = {
    ("pods", "attach"): "PodAttachOptions",
    ("pods", "exec"): "PodExecOptions",
    ("pods", "portforward"): "PodPortForwardOptions",
    ("pods", "proxy"): "PodProxyOptions",
    ("services", "proxy"): "ServiceProxyOptions",
    ("nodes", "proxy"): "NodeProxyOptions",
}
CONNECTIONS: Final = frozenset(subresource for _, subresource in _OPTIONS)


def connect(call: Call) -> None:
    """Raises Refused when a webhook denies a connection to a pod, a service or a node."""
    if not call.reviewed:
        return
    kind = _OPTIONS[call.target.plural, call.target.subresource]
    subject = Subject(
        call=call,
        operation="CONNECT",
        obj={"kind": kind, "apiVersion": "v1", **_connection(call)},
        old=None,
        options=None,
        name=call.target.name,
        part=("", "v1", kind),
    )
    mutated(subject)
    validated(subject)


def _connection(call: Call) -> Json:
    """The options of the query, as the kind of connection has them."""
    if call.target.subresource == "proxy":
        return {"path": f"/{call.target.rest}"}
    given = call.request.query
    if call.target.subresource == "portforward":
        return {"ports": [int(port) for name, port in given if name == "ports" and port.isdigit()]}
    flags = ("stdin", "stdout", "stderr", "tty")
    told: Json = {name: True for name in flags if is_true(call.request.param(name))}
    if container := call.request.param("container"):
        told["container"] = container
    if command := [word for name, word in given if name == "command"]:
        told["command"] = command
    return told


def _headed(part: Part, obj: Json) -> Json:
    group, version, kind = part
    return {**obj, "kind": kind, "apiVersion": f"{group}/{version}" if group else version}
