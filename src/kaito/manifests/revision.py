"""Revisions: what was asked for, and what was made of it, kept for as long as it is in force.

A ControllerRevision records the user's inputs and the children rendered from them. Until an input
changes, those recorded children stay what is wanted, so a newer operator that would render
something else rolls nothing by itself.
"""

import hashlib
import json

from kaito.api.names import Annotation, Label
from kaito.api.workspace import Workspace
from kaito.kube.objects import Json, Record
from kaito.manifests.identity import Identity
from kaito.manifests.render import Rendered

HISTORY_LIMIT = 10
"""Revisions kept, as a Deployment keeps ReplicaSets."""

RENDERING_ANNOTATIONS = (
    Annotation.RUNTIME,
    Annotation.ENABLE_LB,
    Annotation.NODE_IMAGE_FAMILY,
    Annotation.DISABLE_BENCHMARK,
    Annotation.PERFORMANCE_MODE,
    Annotation.USE_LOCAL_WEIGHTS,
    Annotation.SERVE_AFTER_TUNING,
    Annotation.BYPASS_RESOURCE_CHECKS,
    Annotation.UPDATE,
)
"""Annotations of a Workspace that change what is rendered; they are inputs like its fields."""


def inputs(workspace: Workspace, config: Json | None) -> Json:
    """Everything the user decides: the spec, the annotations that render, the config's content."""
    fields = workspace.model_dump(
        mode="json", by_alias=True, exclude_none=True, include={"resource", "inference", "tuning"}
    )
    annotations = {
        key: value
        for key in RENDERING_ANNOTATIONS
        if (value := workspace.metadata.annotations.get(key)) is not None
    }
    return {**fields, "annotations": annotations, "config": config or {}}


def digest(value: Json) -> str:
    """sha256 over canonical JSON, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def controller_revision(identity: Identity, wanted: Json, rendered: Rendered, number: int) -> Json:
    """The revision that records `wanted` (see `inputs`) and what was rendered from it."""
    fingerprint = digest(wanted)
    metadata = identity.metadata(f"{identity.name}-{fingerprint[:10]}")
    metadata["labels"] = {Label.REVISION_OWNER: identity.name}
    metadata["annotations"] = {Annotation.HASH: fingerprint}
    kept: Json = {"first": list(rendered.first), "served": list(rendered.served)}
    if rendered.claims is not None:
        kept["claims"] = rendered.claims
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata,
        "revision": number,
        "data": {**wanted, "rendered": kept},
    }


def recorded(record: Record) -> Rendered:
    """The children recorded in one of our revisions."""
    found = record.get("data", "rendered")
    return Rendered(
        first=tuple(found["first"]), served=tuple(found["served"]), claims=found.get("claims")
    )
