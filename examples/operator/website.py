"""`kind: Website`: a message, served by as many web servers as wanted. A complete operator.

python examples/operator/website.py --crds | kubectl apply -f -
python examples/operator/website.py --kubeconfig ~/.kube/config
"""

import sys
from typing import Annotated

from pydantic import BaseModel, Field

from kaito.framework.applying import ApplyOptions, NameConflict
from kaito.framework.children import Children, child
from kaito.framework.conditions import Condition
from kaito.framework.controller import Controller
from kaito.framework.manager import Manager
from kaito.framework.program import main
from kaito.framework.reconcile import Done, Result
from kaito.framework.reporting import report
from kaito.framework.sources import for_object, owned_by
from kaito.kube.objects import Json, ObjectKey, Record, Resource
from kaito.kube.resources import CONFIGMAPS, DEPLOYMENTS, SERVICES
from kaito.kube.schema.definition import Conditions, definition

WEBSITES = Resource("example.com", "v1", "websites", "Website")
APPLY = ApplyOptions(hash_annotation="example.com/applied")


class Spec(BaseModel):
    message: Annotated[str, Field(min_length=1)]
    replicas: Annotated[int, Field(ge=0, le=10)] = 1


class Status(BaseModel):
    available: int | None = None
    conditions: Conditions | None = None


class Website(BaseModel):
    spec: Spec
    status: Status | None = None


READY = '.status.conditions[?(@.type=="Ready")].status'
CRD = definition(WEBSITES, Website, short_names=["site"], columns={"Ready": READY})


def children(site: Record, spec: Spec) -> dict[Resource, Json]:
    """What a site consists of: pure, so that a test needs nothing but this function."""
    labels = {"website": site.meta.name}
    pod = {
        "containers": [
            {
                "name": "web",
                "image": "busybox:1.37",
                "command": ["httpd", "-f", "-p", "8080", "-h", "/site"],
                "volumeMounts": [{"name": "site", "mountPath": "/site"}],
            }
        ],
        "volumes": [{"name": "site", "configMap": {"name": site.meta.name}}],
    }
    deployment = {
        "replicas": spec.replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    service = {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}
    contents: dict[Resource, Json] = {
        CONFIGMAPS: {"data": {"index.html": spec.message}},
        DEPLOYMENTS: {"spec": deployment},
        SERVICES: {"spec": service},
    }
    return {kind: child(site, kind, content) for kind, content in contents.items()}


class Reconciler:
    def __init__(self, manager: Manager) -> None:
        self.client, self.clock = manager.client, manager.clock
        self.children = Children(
            manager.client, manager.recorder("website"), field_manager="website", options=APPLY
        )

    async def reconcile(self, key: ObjectKey) -> Result:
        site = self.client.store(WEBSITES).get(key)
        if site is None or site.meta.deleting:
            return Done()  # the garbage collector takes what it owned
        spec = Spec.model_validate(site.get("spec"))
        kept = await self.children.keep(site, children(site, spec))
        taken = [outcome.owner for outcome in kept if isinstance(outcome, NameConflict)]
        deployment = self.client.store(DEPLOYMENTS).get(key)
        available = (deployment and deployment.get("status", "availableReplicas")) or 0
        ready = Condition(
            type="Ready",
            status="True" if available >= spec.replicas and not taken else "False",
            reason="NameConflict" if taken else "Counted",
            message=f"the name is taken by {taken[0]}"
            if taken
            else f"{available} of {spec.replicas} web servers are available",
            observed_generation=site.meta.generation,
        )
        status = {"available": available}
        await report(self.client, WEBSITES, site, status, conditions=[ready], clock=self.clock)
        return Done()


def setup(manager: Manager) -> None:
    owned = [owned_by(kind, WEBSITES) for kind in (CONFIGMAPS, DEPLOYMENTS, SERVICES)]
    manager.add(Controller("website", Reconciler(manager), [for_object(WEBSITES), *owned]))


if __name__ == "__main__":
    sys.exit(main("website", setup, definitions=[CRD]))
