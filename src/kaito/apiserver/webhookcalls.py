"""How webhooks are reached: the seam. `webhookhttps` is what is behind it outside of tests."""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final

import msgspec
import yaml

from kaito.kube.objects import Json
from kaito.kube.transport import Response


class CallFailed(Exception):
    """A webhook gave no usable answer. The text is shown to whoever wrote."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a webhook is."""

    url: str
    """With the query that tells it the timeout."""
    service: tuple[str, str, int] | None = None
    """Namespace, name and port of the Service that `url` stands for."""
    ca_bundle: bytes = b""
    """PEM; empty: what the system trusts."""


class WebhookCaller(Protocol):
    """Posts one review. In virtual time a function answers; `webhookhttps` uses the network."""

    async def post(self, endpoint: Endpoint, body: bytes) -> Response:
        """Raises CallFailed with what a client would say: `connection refused` ..."""
        ...


def endpoint_of(client: Json, timeout: str) -> Endpoint:
    """Of a `clientConfig`."""
    try:
        bundle = base64.b64decode(client.get("caBundle") or "")
    except (binascii.Error, TypeError):
        bundle = b""
    service = client.get("service")
    if not service:
        return Endpoint(url=f"{client.get('url', '')}?timeout={timeout}", ca_bundle=bundle)
    namespace, name, port = service["namespace"], service["name"], service.get("port") or 443
    path = service.get("path") or "/"
    url = f"https://{name}.{namespace}.svc:{port}{path}?timeout={timeout}"
    return Endpoint(url=url, service=(namespace, name, port), ca_bundle=bundle)


async def posted(
    caller: WebhookCaller | None, asked: Sequence[tuple[Endpoint, bytes, int]]
) -> list[bytes | CallFailed]:
    """Post all at the same time; bodies of answers, in order."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_post(caller, endpoint, body, timeout))
            for endpoint, body, timeout in asked
        ]
    return [task.result() for task in tasks]


async def _post(
    caller: WebhookCaller | None, endpoint: Endpoint, body: bytes, timeout: int
) -> bytes | CallFailed:
    prefix = f'Post "{endpoint.url}"'
    if caller is None:
        return CallFailed(f"{prefix}: this server has no way to call webhooks")
    try:
        async with asyncio.timeout(timeout):
            response = await caller.post(endpoint, body)
    except TimeoutError:
        return CallFailed(f"{prefix}: context deadline exceeded")
    except CallFailed as failed:
        return CallFailed(f"{prefix}: {failed}")
    if 200 <= response.status <= 206:
        return response.body
    return CallFailed(_refused(response))


_TOLD: Final = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    409: "the server reported a conflict",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: (
        "the server was unable to return a response in the time allotted, but may still be "
        "processing the request"
    ),
}
_SHOWN: Final = (403, 406, 415)
"""What the webhook itself says to these is passed on."""


def _refused(response: Response) -> str:
    """An HTTP error in client-go's words."""
    if known := _TOLD.get(response.status):
        return known
    kind, told = response.headers.get("content-type", "text/plain"), "unknown"
    if kind.startswith("text/"):
        told = response.body.decode("utf-8", "replace").strip().replace("\n", "\\n")
    if response.status in _SHOWN:
        return told
    if response.status >= 500:
        return f'an error on the server ("{told}") has prevented the request from succeeding'
    code = response.status
    return f"the server responded with the status code {code} but did not return more information"


def unread(body: bytes, error: msgspec.DecodeError) -> str:
    """What a real server says of an answer that is no JSON object. It reads YAML too."""
    try:
        value = yaml.load(body, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        value = {}
    if isinstance(value, dict):
        return f"couldn't get version/kind; json parse error: {error}"
    kind = {str: "string", list: "array", bool: "bool"}.get(type(value), "number")
    return (
        f"couldn't get version/kind; json parse error: json: cannot unmarshal {kind} into Go value "
        'of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string '
        '"json:\\"kind,omitempty\\"" }'
    )
