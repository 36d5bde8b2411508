"""Every read of the workspace controller, gathered into one value, all from the cache."""

from collections.abc import Iterable
from typing import final

from kaito.api.names import (
    INFERENCE_CONFIG_KEY,
    TRAINING_CONFIG_KEY,
    Annotation,
    ConditionType,
    Label,
    Reason,
)
from kaito.api.resources import NODECLAIMS, WORKSPACES
from kaito.api.workspace import parse
from kaito.controllers.workspace.observed import Observed, config_name
from kaito.framework.cache import Cache
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    DEPLOYMENTS,
    JOBS,
    NODES,
    PODS,
    SERVICES,
    STATEFULSETS,
)

OURS = Label.WORKSPACE
"""The label selector of everything a Workspace has: only that is cached."""

BY_WORKSPACE = "workspace"
BY_CONFIG = "config"
BY_REQUEST = "update"


def workspace_of(record: Record) -> Iterable[str]:
    """Index: `namespace/name` of the Workspace that a claim or node works for."""
    labels = record.meta.labels
    name, namespace = labels.get(Label.WORKSPACE), labels.get(Label.WORKSPACE_NAMESPACE)
    return (f"{namespace}/{name}",) if name and namespace else ()


def labelled_workspace(record: Record) -> Iterable[str]:
    """Index: `namespace/name` of the Workspace that a namespaced child belongs to."""
    labels = record.meta.labels
    name = labels.get(Label.WORKSPACE) or labels.get(Label.REVISION_OWNER)
    return (f"{record.meta.namespace}/{name}",) if name else ()


def config_of(record: Record) -> Iterable[str]:
    """Index: `namespace/name` of the ConfigMap that a Workspace names."""
    name = config_name(parse(record))
    return (f"{record.meta.namespace}/{name}",) if name else ()


def update_requested(record: Record) -> Iterable[str]:
    """Index: one value for all Workspaces that bear the annotation which asks for an update."""
    return (BY_REQUEST,) if Annotation.UPDATE in record.meta.annotations else ()


def is_updating(record: Record) -> bool:
    """Whether it bears that annotation, is not Ready, and does not just wait for its turn."""
    conditions = record.get("status", "conditions") or ()
    told = {c["type"]: (c["status"], c["reason"]) for c in conditions}
    waits = told.get(ConditionType.UPDATE_AVAILABLE, ("", ""))[1] == Reason.UPDATE_WAITS
    ready = told.get(ConditionType.READY, ("", ""))[0] == "True"
    return not (waits or ready or record.meta.deleting)


def only_config_keys(record: Record) -> Record:
    """What is kept of a ConfigMap: the two keys that a Workspace may refer to."""
    data = record.get("data") or {}
    kept = {k: v for k, v in data.items() if k in (INFERENCE_CONFIG_KEY, TRAINING_CONFIG_KEY)}
    return record.with_fields(data=kept)


def owned_by_uid(record: Record, uid: str) -> bool:
    """The claim was made for the Workspace of that UID, or by an operator that recorded none."""
    return record.meta.annotations.get(Annotation.WORKSPACE_UID, uid) == uid


@final
class CachedObserver:
    """Reads from the shared cache; declares what it needs of it."""

    def __init__(self, cache: Cache) -> None:
        self._workspaces = cache.informer(
            WORKSPACES, indexes={BY_CONFIG: config_of, BY_REQUEST: update_requested}
        ).store
        self._claims = cache.informer(NODECLAIMS, indexes={BY_WORKSPACE: workspace_of}).store
        self._nodes = cache.informer(NODES).store
        self._pods = cache.informer(
            PODS, label_selector=OURS, indexes={BY_WORKSPACE: labelled_workspace}
        ).store
        self._stateful_sets = cache.informer(STATEFULSETS, label_selector=OURS).store
        self._jobs = cache.informer(JOBS, label_selector=OURS).store
        self._deployments = cache.informer(DEPLOYMENTS, label_selector=OURS).store
        cache.informer(SERVICES, label_selector=OURS)
        self._configs = cache.informer(CONFIGMAPS, transform=only_config_keys).store
        self._revisions = cache.informer(
            CONTROLLERREVISIONS,
            label_selector=Label.REVISION_OWNER,
            indexes={BY_WORKSPACE: labelled_workspace},
        ).store

    def observe(self, key: ObjectKey) -> Observed | None:
        """None when there is no such Workspace."""
        record = self._workspaces.get(key)
        if record is None:
            return None
        workspace = parse(record)
        uid = record.meta.uid
        claims = [c for c in self._named(key) if owned_by_uid(c, uid)]
        revisions = sorted(self._owned_revisions(key, uid), key=_number)
        return Observed(
            record=record,
            workspace=workspace,
            config=self._config(key.namespace, config_name(workspace)),
            claims=tuple(sorted(claims, key=_age)),
            taken_claim_names=frozenset(claim.meta.name for claim in self._claims.list()),
            nodes=tuple(self._nodes_of(claims)),
            pods=tuple(sorted(self._pods.by_index(BY_WORKSPACE, str(key)), key=_name)),
            stateful_set=_owned(self._stateful_sets.get(key), uid),
            job=_owned(self._jobs.get(key), uid),
            deployment=_owned(self._deployments.get(key), uid),
            revisions=tuple(r for r in revisions if _applied_by_us(r)),
            former_revisions=tuple(r for r in revisions if not _applied_by_us(r)),
        )

    def claims_of_others(self, key: ObjectKey) -> list[Record]:
        """Claims that name this Workspace but were made for another UID: an earlier one's."""
        workspace = self._workspaces.get(key)
        uid = "" if workspace is None else workspace.meta.uid
        return [claim for claim in self._named(key) if not owned_by_uid(claim, uid)]

    def _named(self, key: ObjectKey) -> list[Record]:
        return self._claims.by_index(BY_WORKSPACE, str(key))

    def users_of_config(self, key: ObjectKey) -> list[ObjectKey]:
        """The Workspaces that name this ConfigMap."""
        return [record.key for record in self._workspaces.by_index(BY_CONFIG, str(key))]

    def updating(self) -> list[ObjectKey]:
        """The Workspaces that are being updated on request, by their status."""
        asked = self._workspaces.by_index(BY_REQUEST, BY_REQUEST)
        return [record.key for record in asked if is_updating(record)]

    def _nodes_of(self, claims: list[Record]) -> list[Record]:
        names = {claim.get("status", "nodeName") for claim in claims}
        found = [self._nodes.get(ObjectKey("", name)) for name in names if name]
        return sorted((node for node in found if node is not None), key=_name)

    def _config(self, namespace: str, name: str) -> Json | None:
        record = self._configs.get(ObjectKey(namespace, name)) if name else None
        return None if record is None else record.get("data") or {}

    def _owned_revisions(self, key: ObjectKey, uid: str) -> list[Record]:
        found = self._revisions.by_index(BY_WORKSPACE, str(key))
        return [record for record in found if _owned(record, uid) is not None]


def _owned(record: Record | None, uid: str) -> Record | None:
    if record is None:
        return None
    controller = record.meta.controller
    return record if controller is not None and controller.uid == uid else None


def _applied_by_us(record: Record) -> bool:
    return Annotation.APPLIED in record.meta.annotations


def _name(record: Record) -> str:
    return record.meta.name


def _age(record: Record) -> tuple[str, str]:
    return record.meta.creation_timestamp or "", record.meta.name


def _number(record: Record) -> int:
    return record.get("revision") or 0
