"""Workspaces of files, planned as the controller would: what `plan`, `render` and `up` share."""

from dataclasses import dataclass
from typing import Final, final
from uuid import UUID, uuid5

from kaito.api.problems import Problem
from kaito.api.validation import read
from kaito.api.workspace import Workspace
from kaito.cli.inputs import Document, documents
from kaito.kube.clock import SystemClock
from kaito.kube.objects import Json
from kaito.manifests.identity import Identity
from kaito.planning.decision import Facts, Plan, Refusal
from kaito.planning.plan import plan

NAMESPACE_OF_UIDS: Final = UUID("b1f6e1c2-5d0c-5c53-8f0e-6b2f6c1f3a10")
"""Where the UIDs of Workspaces that no cluster has named come from: uuid5 of namespace/name."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One Workspace of a file and what was decided about it."""

    document: Document
    namespace: str
    workspace: Workspace | None
    decision: Plan | Refusal

    @property
    def title(self) -> str:
        return f"{self.namespace}/{self.document.name}"

    @property
    def where(self) -> str:
        """`file:line` of what was refused, else of the object."""
        path = self.decision.field if isinstance(self.decision, Refusal) else "metadata.name"
        return f"{self.document.source}:{self.document.line(path)}"

    @property
    def has_uid(self) -> bool:
        """The file names a UID, as one that was read from a cluster does."""
        return bool((self.document.obj.get("metadata") or {}).get("uid"))

    @property
    def identity(self) -> Identity:
        metadata = self.document.obj.get("metadata") or {}
        uid = metadata.get("uid") or str(uuid5(NAMESPACE_OF_UIDS, self.title))
        return Identity(namespace=self.namespace, name=self.document.name, uid=uid)


def planned(names: tuple[str, ...], namespace: str) -> list[Planned]:
    """Plan every Workspace of these files; other kinds only lend their ConfigMaps."""
    found = documents(names)
    configs = {_key(d, namespace): d.obj.get("data") or {} for d in found if d.kind == "ConfigMap"}
    return [
        _decide(document, namespace, configs) for document in found if document.kind == "Workspace"
    ]


def _key(document: Document, namespace: str) -> tuple[str, str]:
    metadata = document.obj.get("metadata") or {}
    return metadata.get("namespace") or namespace, document.name


def _decide(document: Document, namespace: str, configs: dict[tuple[str, str], Json]) -> Planned:
    own, _ = _key(document, namespace)
    workspace = read(document.obj)
    if isinstance(workspace, list):
        return Planned(
            document=document, namespace=own, workspace=None, decision=_refusal(workspace)
        )
    spec = workspace.tuning or workspace.inference
    config = configs.get((own, spec.config)) if spec is not None and spec.config else None
    facts = Facts(today=SystemClock().wall().date(), config=config)
    return Planned(
        document=document, namespace=own, workspace=workspace, decision=plan(workspace, facts)
    )


def _refusal(problems: list[Problem]) -> Refusal:
    first = problems[0]
    message = "; ".join(map(str, problems))
    return Refusal(reason=first.reason, message=message, field=first.path)
