"""`caBundle` in the objects that tell an API server which webhooks to call."""

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from kaito.framework.webhooks.rotation import trusts
from kaito.kube.objects import Json, Record


def injected(record: Record, bundle: bytes) -> list[Json]:
    """The JSON patch that makes every webhook of a configuration trust `bundle`, and only it."""
    text = base64.b64encode(bundle).decode()
    return [
        {"op": "add", "path": f"{path}/caBundle", "value": text}
        for path, client in _clients(record)
        if client.get("caBundle") != text
    ]


def unpublished(record: Record, bundle: bytes) -> bool:
    """Whether a webhook of this configuration does not trust all of `bundle` yet."""
    return not all(trusts(_decoded(client), bundle) for _, client in _clients(record))


def _clients(record: Record) -> Iterator[tuple[str, Json]]:
    """Every clientConfig, and where it is."""
    for index, webhook in enumerate(record.get("webhooks") or ()):
        yield f"/webhooks/{index}/clientConfig", webhook.get("clientConfig") or {}
    webhook = record.get("spec", "conversion", "webhook")
    if isinstance(webhook, dict) and webhook.get("clientConfig"):
        yield "/spec/conversion/webhook/clientConfig", webhook["clientConfig"]


def _decoded(client: Json) -> bytes:
    text: Any = client.get("caBundle") or ""
    try:
        return base64.b64decode(text)
    except (binascii.Error, TypeError):
        return b""
