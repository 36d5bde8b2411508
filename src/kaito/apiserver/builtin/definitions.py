"""What a real server checks of a CustomResourceDefinition."""

from collections.abc import Iterator
from typing import Any, Final

from kaito.apiserver.builtin import clients
from kaito.apiserver.names import dns_1035_label
from kaito.kube.objects import Json
from kaito.kube.schema import fields, sanity
from kaito.kube.schema.fields import FieldError

Findings = Iterator[FieldError]

_COLUMN_TYPES: Final = ("boolean", "date", "integer", "number", "string")
_SCOPES: Final = ("Cluster", "Namespaced")
_STRATEGIES: Final = ("None", "Webhook")
_GO_NAMES: Final = (
    "name",
    "served",
    "storage",
    "deprecated",
    "deprecationWarning",
    "schema",
    "subresources",
    "additionalPrinterColumns",
    "selectableFields",
)


def check(obj: Json, old: Json | None) -> Findings:
    """Findings about names, versions, schemas, columns and subresources."""
    spec = obj.get("spec") or {}
    names = spec.get("names") or {}
    yield from _own_name(obj, spec, names)
    yield from _names(names)
    versions = spec.get("versions") or []
    yield from _versions(versions)
    yield from _conversion(spec)
    yield from _stored(obj, versions)
    shared = _shared(versions)
    for index, version in enumerate(versions):
        if not shared or index == 0:
            yield from _version(version, "spec" if shared else f"spec.versions[{index}]", index)
    if spec.get("preserveUnknownFields"):
        why = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
            "spec.versions[*].schema instead"
        )
        yield fields.invalid("spec.preserveUnknownFields", True, why)
    if old is not None and (old.get("spec") or {}).get("group") != spec.get("group"):
        yield fields.invalid("spec.group", spec.get("group"), "field is immutable")
    yield from _immutable(spec, old)


def _own_name(obj: Json, spec: Json, names: Json) -> Findings:
    group, plural = spec.get("group") or "", names.get("plural") or ""
    name = obj["metadata"].get("name")
    if name != f"{plural}.{group}":
        yield fields.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    if "." not in group and group:
        yield fields.invalid("spec.group", group, "should be a domain with at least one dot")
    scope = spec.get("scope")
    if scope and scope not in _SCOPES:
        yield fields.not_supported("spec.scope", scope, _SCOPES)


def _names(names: Json) -> Findings:
    for field in ("plural", "singular", "kind", "listKind"):
        value = names.get(field) or ""
        why = dns_1035_label(value.lower() if field in ("kind", "listKind") else value)
        if not value and field != "plural":
            yield fields.required(f"spec.names.{field}")
        elif value and why:
            yield fields.invalid(f"spec.names.{field}", value, why)
    for field in ("shortNames", "categories"):
        for index, value in enumerate(names.get(field) or ()):
            why = dns_1035_label(value)
            if why:
                yield fields.invalid(f"spec.names.{field}[{index}]", value, why)


def _versions(versions: list[Json]) -> Findings:
    shown = fields.Verbatim(f"[{','.join(map(_go_version, versions))}]")
    for index, version in enumerate(versions):
        why = dns_1035_label(version.get("name") or "")
        if why:
            yield fields.invalid(f"spec.versions[{index}].name", version.get("name"), why)
    names = [version.get("name") for version in versions]
    if len(set(names)) < len(names):
        yield fields.invalid("spec.versions", shown, "must contain unique version names")
    storage = [version.get("name") for version in versions if version.get("storage")]
    if len(storage) != 1:
        why = "must have exactly one version marked as storage version"
        yield fields.invalid("spec.versions", shown, why)
    if versions and (why := dns_1035_label(versions[0].get("name") or "")):
        yield fields.invalid("spec.version", versions[0].get("name"), why)
    if not storage:
        why = "must have at least one stored version"
        yield fields.invalid("status.storedVersions", None, why)
    elif len(storage) > 1:
        known, why = list(dict.fromkeys(storage)), f"must have the storage version {storage[-1]}"
        yield fields.invalid("status.storedVersions", known, why)


def _stored(obj: Json, versions: list[Json]) -> Findings:
    """Objects may be stored in every version that once was the storage version."""
    known = {version.get("name") for version in versions}
    for index, name in enumerate((obj.get("status") or {}).get("storedVersions") or ()):
        if name not in known:
            why = (
                f"missing from spec.versions; {name} was previously a storage version, and must "
                "remain in spec.versions until a storage migration ensures no data remains "
                f"persisted in {name} and removes {name} from status.storedVersions"
            )
            yield fields.invalid(f"status.storedVersions[{index}]", name, why)


def _conversion(spec: Json) -> Findings:
    # The fields' names are those that they had in v1beta1.
    where, conversion = "spec.conversion", spec.get("conversion") or {}
    strategy, webhook = conversion.get("strategy"), conversion.get("webhook") or {}
    client, versions = webhook.get("clientConfig"), webhook.get("conversionReviewVersions")
    if not strategy:
        yield fields.required(f"{where}.strategy")
    elif strategy not in _STRATEGIES:
        yield fields.not_supported(f"{where}.strategy", strategy, _STRATEGIES)
    if strategy == "Webhook":
        if spec.get("preserveUnknownFields"):
            why = "must be None if spec.preserveUnknownFields is true"
            yield fields.invalid(f"{where}.strategy", strategy, why)
        if client is None:
            why = "required when strategy is set to Webhook"
            yield fields.required(f"{where}.webhookClientConfig", why)
        else:
            yield from clients.check(f"{where}.webhookClientConfig", client)
        yield from clients.reviews(f"{where}.conversionReviewVersions", versions, "")
        return
    why = "should not be set when strategy is not set to Webhook"
    if client is not None:
        yield fields.forbidden(f"{where}.webhookClientConfig", why)
    if versions:
        yield fields.forbidden(f"{where}.conversionReviewVersions", why)


def _go_version(version: Json) -> str:
    """As Go prints its own structure: names capitalised, in its order, what is shared left out."""
    said = {**{name: version.get(name) for name in _GO_NAMES}, "schema": None}
    said["deprecated"] = bool(version.get("deprecated"))
    parts = (f"{name[0].upper()}{name[1:]}" for name in said)
    return (
        "{"
        + ",".join(f'"{n}":{fields.compact(v)}' for n, v in zip(parts, said.values(), strict=True))
        + "}"
    )


def _shared(versions: list[Json]) -> bool:
    """Whether all versions say the same: findings are then told about the definition as a whole."""
    parts = ("schema", "subresources", "additionalPrinterColumns")
    said = [[version.get(part) for part in parts] for version in versions]
    return bool(said) and all(one == said[0] for one in said)


def _version(version: Json, path: str, index: int) -> Findings:
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is None:
        yield fields.required(f"spec.versions[{index}].schema.openAPIV3Schema")
    else:
        part = "validation" if path == "spec" else "schema"
        yield from sanity.check_schema(schema, f"{path}.{part}.openAPIV3Schema")
    for number, column in enumerate(version.get("additionalPrinterColumns") or ()):
        yield from _column(column, f"{path}.additionalPrinterColumns[{number}]")
    scale = (version.get("subresources") or {}).get("scale")
    if scale is not None:
        yield from _scale(scale, f"{path}.subresources.scale")


def _column(column: Json, path: str) -> Findings:
    if column.get("type") not in _COLUMN_TYPES:
        why = f"must be one of {','.join(_COLUMN_TYPES)}"
        yield fields.invalid(f"{path}.type", column.get("type"), why)
    json_path = column.get("jsonPath") or ""
    if not json_path.startswith(".") and json_path:
        why = "must be a simple json path starting with ."
        yield fields.invalid(f"{path}.JSONPath", json_path, why)


def _scale(scale: Json, path: str) -> Findings:
    for field, root in (("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")):
        value = scale.get(field) or ""
        if value and not value.startswith(f"{root}."):
            yield fields.invalid(f"{path}.{field}", value, f"should be a json path under {root}")


def _immutable(spec: Json, old: Json | None) -> Findings:
    """The scope and the kind of a definition that is established."""
    if old is None:
        return
    before: Any = old.get("spec") or {}
    conditions = (old.get("status") or {}).get("conditions") or ()
    if not any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
        return
    pairs = {
        "spec.scope": (spec.get("scope"), before.get("scope")),
        "spec.names.kind": (
            (spec.get("names") or {}).get("kind"),
            (before.get("names") or {}).get("kind"),
        ),
    }
    for path, (new, was) in pairs.items():
        if new != was:
            yield fields.invalid(path, new, "field is immutable")
