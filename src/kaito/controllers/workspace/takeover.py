"""Taking over what KAITO runs: its workload becomes the first revision, as it is.

KAITO's objects have the names that ours have and belong to the same Workspace, but only some carry
the label by which ours are cached. So they are looked for on the server, once: while no revision
of ours is recorded and something tells that KAITO has had this Workspace.
"""

from collections.abc import AsyncIterator
from typing import Final, final

from kaito.api.names import Annotation, Label
from kaito.api.workspace import parse
from kaito.controllers.workspace.observed import Observed
from kaito.controllers.workspace.target import Revision
from kaito.framework.consistent import ConsistentClient
from kaito.kube.objects import Json, ObjectKey, Record, Resource, record_of
from kaito.kube.resources import CONFIGMAPS, DEPLOYMENTS, JOBS, SERVICES, STATEFULSETS
from kaito.manifests.adoption import as_found, config_maps_of
from kaito.manifests.identity import Identity
from kaito.manifests.render import Rendered
from kaito.manifests.revision import inputs
from kaito.manifests.service import headless_name

FIELD_MANAGERS: Final = ("manager",)
"""KAITO's, on what it makes: the name of its program (`/manager` in its image)."""

_WORKLOADS: Final = (STATEFULSETS, JOBS, DEPLOYMENTS)
"""In the order in which they are looked for; Deployments are of KAITO before v0.8."""


@final
class Takeover:
    """Looks for KAITO's workload of a Workspace."""

    def __init__(self, client: ConsistentClient) -> None:
        self._client = client

    async def find(self, observed: Observed, identity: Identity) -> Revision | None:
        """The revision that keeps what is there; None when KAITO has left nothing to keep.

        Its inputs are those that KAITO saw. A Workspace that was edited since is taken over all
        the same, and then has new inputs, as after any edit.
        """
        if observed.revisions or not had_by_kaito(observed):
            return None
        workload = await self._workload(observed)
        if workload is None:
            return None
        first = [as_found(workload, identity)]
        beside = self._beside(workload, observed, headless_name(identity))
        first += [as_found(one, identity) async for one in beside]
        claims = _claims(first[0], observed)
        number = _number(workload) or _newest(observed)
        return Revision(
            number=number,
            wanted=inputs_seen(observed, number),
            rendered=Rendered(first=tuple(first), claims=claims),
        )

    async def _workload(self, observed: Observed) -> Json | None:
        for resource in _WORKLOADS:
            found = await self._ours(resource, observed.key, observed.uid)
            if found is not None:
                return found
        return None

    async def _beside(
        self, workload: Json, observed: Observed, headless: str
    ) -> AsyncIterator[Json]:
        """ConfigMaps and Services of the Workspace's own. Shared ones stay nobody's."""
        name, namespace = observed.key.name, observed.key.namespace
        wanted = [(CONFIGMAPS, config) for config in config_maps_of(workload)]
        wanted += [(SERVICES, name), (SERVICES, headless)]
        for resource, each in wanted:
            found = await self._ours(resource, ObjectKey(namespace, each), observed.uid)
            if found is not None:
                yield found

    async def _ours(self, resource: Resource, key: ObjectKey, uid: str) -> Json | None:
        found = await self._client.get_live_json(resource, key)
        if found is None:
            return None
        meta = record_of(found).meta
        controlled = meta.controller is not None and meta.controller.uid == uid
        return found if controlled and not meta.deleting else None


def had_by_kaito(observed: Observed) -> bool:
    """Whether KAITO has worked on this Workspace: by its marks on it, or its revisions of it."""
    marked = Annotation.HASH in observed.record.meta.annotations
    return marked or bool(observed.former_revisions)


def inputs_seen(observed: Observed, number: int) -> Json:
    """The inputs of KAITO's revision of that number; the present ones where it is not known."""
    found = [r for r in observed.former_revisions if _revision(r) == number]
    if not found:
        return inputs(observed.workspace, observed.config)
    data = found[-1].get("data") or {}
    fields = {name: data.get(name) for name in ("resource", "inference", "tuning")}
    then = {name: value for name, value in fields.items() if value is not None}
    now = {k: v for k, v in observed.record.json().items() if k not in fields}
    return inputs(parse(record_of(now | then)), observed.config)


def _claims(workload: Json, observed: Observed) -> int:
    """The machines that are ours to replace.

    Pods that Karpenter's NodePools or the user found nodes for do not ask for KAITO's label, and
    there are no claims: then there is nothing to replace.
    """
    spec = workload["spec"]
    pinned = Label.WORKSPACE in _asked_labels(spec["template"]["spec"])
    if not pinned and not observed.claims:
        return 0
    replicas: int = spec.get("replicas", 1)
    return replicas


def _asked_labels(pod: Json) -> set[str]:
    """The labels of nodes that a pod insists on."""
    affinity = (pod.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms") or ()
    return {rule["key"] for term in terms for rule in term.get("matchExpressions") or ()}


def _number(workload: Json) -> int:
    """The revision that KAITO wrote on its workload; 0 when it wrote none."""
    text = (workload["metadata"].get("annotations") or {}).get(Annotation.REVISION, "")
    return int(text) if text.isdigit() else 0


def _newest(observed: Observed) -> int:
    return max((_revision(record) for record in observed.former_revisions), default=1)


def _revision(record: Record) -> int:
    return record.get("revision") or 0
