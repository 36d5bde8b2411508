"""What passes through the server to the world: container logs and proxied HTTP."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Final, Literal, cast

from kaito.apiserver import forms, writing
from kaito.apiserver.connectors import Kubelet, LogOptions, ServiceProxy
from kaito.apiserver.core import Call
from kaito.apiserver.routing import is_true
from kaito.apiserver.status import (
    Cause,
    Refused,
    bad_request,
    invalid,
    invalid_value,
    not_found,
)
from kaito.kube.objects import Json, ObjectKey
from kaito.kube.resources import PODS
from kaito.kube.transport import Query, Request, Response, Stream

_NOT_NEGATIVE: Final = "must be greater than or equal to 0"
_TEXT: Final = {"content-type": "text/plain", "cache-control": "no-cache, private"}
_HOP: Final = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length"}
)
"""Headers that belong to one connection, and to nobody behind a proxy (RFC 9110, 7.6.1)."""
_IDENTITY: Final = frozenset({"authorization", "host"})


async def logs(call: Call, kubelet: Kubelet | None) -> Response | Stream:
    """GET of `pods/log`: checked here, read from the kubelet of the pod's node."""
    pod = forms.shown(call, writing.current(call, call.key))
    options = log_options(call)
    container = _container(call, pod)
    if not pod["spec"].get("nodeName"):
        return Response(status=204, headers={"cache-control": "no-cache, private"})
    if kubelet is None:
        message = "no kubelet serves the logs of this pod's node"
        raise Refused(500, "InternalError", message)
    lines = await kubelet.logs(call.key.namespace, call.key.name, container, options)
    return Stream(status=200, headers=_TEXT, chunks=_limited(lines, options.limit_bytes))


async def ended(call: Call, kubelet: Kubelet | None) -> None:
    """Wait until the container that somebody wants to attach to has ended, if it is one that ends.

    `kubectl run -it` that cannot attach reads the logs once: they have to be complete by then.
    """
    pod = forms.shown(call, writing.current(call, call.key))
    if kubelet is None or pod["spec"].get("restartPolicy") == "Always":
        return
    container, follow = _container(call, pod), LogOptions(follow=True)
    with suppress(Refused):
        lines = await kubelet.logs(call.key.namespace, call.key.name, container, follow)
        async with aclosing(cast(AsyncGenerator[bytes, None], lines)) as source:
            async for _ in source:
                pass


async def _limited(lines: AsyncIterator[bytes], limit: int | None) -> AsyncGenerator[bytes, None]:
    async with aclosing(cast(AsyncGenerator[bytes, None], lines)) as source:
        left = limit
        async for chunk in source:
            if left is None:
                yield chunk
                continue
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return


def log_options(call: Call) -> LogOptions:
    """PodLogOptions of the query. Raises 422 for numbers that are none."""
    causes: list[Cause] = []
    request = call.request

    def number(name: str, least: int) -> int | None:
        text = request.param(name)
        if not text:
            return None
        if not text.lstrip("-").isdigit():
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        value = int(text)
        if value < least:
            why = f"must be greater than {least - 1}" if least else _NOT_NEGATIVE
            causes.append(invalid_value(name, text, why))
        return value

    options = LogOptions(
        tail_lines=number("tailLines", 0),
        limit_bytes=number("limitBytes", 1),
        since_seconds=number("sinceSeconds", 1),
        since_time=request.param("sinceTime"),
        follow=is_true(request.param("follow")),
        previous=is_true(request.param("previous")),
        timestamps=is_true(request.param("timestamps")),
    )
    if causes:
        raise invalid("", "PodLogOptions", call.target.name, causes)
    return options


def _container(call: Call, pod: Json) -> str:
    """The container asked for, or the only one."""
    spec = pod["spec"]
    names = [container["name"] for container in spec.get("containers") or []]
    initial = [container["name"] for container in spec.get("initContainers") or []]
    asked = call.request.param("container")
    if asked:
        if asked not in (*names, *initial):
            raise bad_request(f"container {asked} is not valid for pod {call.target.name}")
        return asked
    if len(names) == 1:
        return str(names[0])
    told = f"a container name must be specified for pod {call.target.name}, choose one of: "
    told += f"[{' '.join([*initial, *names])}]"
    raise bad_request(told)


def proxied(call: Call) -> tuple[str, str]:
    """Name and port of `[scheme:]name[:port]`."""
    parts = call.target.name.split(":")
    match parts:
        case [name]:
            return name, ""
        case [name, port]:
            return name, port
        case [_, name, port]:
            return name, port
        case _:
            raise bad_request(f'invalid proxy request "{call.target.name}"')


async def proxy(call: Call, network: ServiceProxy | None) -> Response | Stream:
    """Any method on `services/proxy` and `pods/proxy`."""
    name, port = proxied(call)
    key = ObjectKey(call.key.namespace, name)
    if call.core.bucket(call.kind).get(key) is None:
        raise not_found(call.kind.resource, name)
    kind: Literal["services", "pods"] = "pods" if call.kind.resource == PODS else "services"
    if network is None:
        why = f'no endpoints available for service "{name}"'
        raise Refused(503, "ServiceUnavailable", why)
    answer = await network.request(kind, key.namespace, name, port, _inner(call))
    headers = {n: value for n, value in answer.headers.items() if n not in _HOP}
    if isinstance(answer, Response):
        return Response(status=answer.status, headers=headers, body=answer.body)
    return Stream(status=answer.status, headers=headers, chunks=answer.chunks)


def _inner(call: Call) -> Request:
    """The request as the service sees it: no credentials, no trace of the way here."""
    request = call.request
    headers = {
        name: value
        for name, value in request.headers.items()
        if name not in _HOP and name not in _IDENTITY
    }
    query: Query = request.query
    return Request(
        method=request.method,
        path=f"/{call.target.rest}",
        query=query,
        headers=headers,
        body=request.body,
    )
