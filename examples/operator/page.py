"""`kind: Page`: a text, served by as many web servers as wanted. A complete operator."""

from typing import Annotated

from pydantic import BaseModel, Field

from kaito.framework import kit
from kaito.kube.resources import DEPLOYMENTS

PAGES = kit.Resource("example.com", "v1", "pages", "Page")


class Spec(BaseModel):
    text: Annotated[str, Field(min_length=1), kit.Column("Text")]
    copies: Annotated[int, Field(ge=0, le=10)] = 1


class Status(BaseModel):
    available: Annotated[int | None, kit.Column("Available")] = None
    conditions: Annotated[kit.Conditions | None, kit.Column("Ready", condition="Ready")] = None


class Page(BaseModel):
    spec: Spec
    status: Status | None = None


def deployment(page: kit.Record, spec: Spec) -> kit.Json:
    labels = {"page": page.meta.name}
    command = ["sh", "-c", 'echo "$0" > /tmp/index.html; exec httpd -f -p 8080 -h /tmp', spec.text]
    pod = {"containers": [{"name": "web", "image": "busybox:1.37", "command": command}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    content = {"replicas": spec.copies, "selector": {"matchLabels": labels}, "template": template}
    return kit.child(page, DEPLOYMENTS, {"spec": content})


def setup(manager: kit.Manager) -> None:
    children = kit.Children(manager.client, manager.recorder("page"), field_manager="page")

    async def reconcile(key: kit.ObjectKey) -> kit.Result:
        page, web = (manager.client.store(kind).get(key) for kind in (PAGES, DEPLOYMENTS))
        if page is not None and not page.meta.deleting:
            spec = Spec.model_validate(page.get("spec"))
            (kept,) = await children.keep(page, {DEPLOYMENTS: deployment(page, spec)})
            ours = not isinstance(kept, kit.NameConflict)
            count = (web and ours and web.get("status", "availableReplicas")) or 0
            message = f"{count} of {spec.copies} are available"
            ready = kit.condition("Ready", ours and count >= spec.copies, "Counted", message)
            await kit.report(manager.client, PAGES, page, {"available": count}, conditions=[ready])
        return kit.Done()

    sources = [kit.for_object(PAGES), kit.owned_by(DEPLOYMENTS, PAGES)]
    manager.add(kit.Controller("page", reconcile, sources))


if __name__ == "__main__":
    raise SystemExit(kit.main("page", setup, definitions=[kit.definition(PAGES, Page)]))
