"""What a controller may do: declared beside its code, generated from there into `config/rbac`."""

from typing import final

from kaito.kube.objects import Resource


@final
class Permission:
    """Verbs on one resource, or on one subresource of it."""

    def __init__(self, resource: Resource, *verbs: str, subresource: str = "") -> None:
        self.resource = resource
        self.verbs = verbs
        self.subresource = subresource

    @property
    def target(self) -> str:
        """The name RBAC rules use: `plural` or `plural/subresource`."""
        parts = (self.resource.plural, self.subresource)
        return "/".join(part for part in parts if part)
