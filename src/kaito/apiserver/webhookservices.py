"""Where a webhook is that is named by its Service.

A real API server dials the Service's cluster address, and the network brings it to a pod. Here a
Service is as far as its EndpointSlices say: an address that somebody put there can be dialled from
this process; a pod whose containers are played runs no process that could answer.
"""

from collections.abc import Iterator
from typing import Final, final

from kaito.apiserver.storage import Storage
from kaito.apiserver.webhookcalls import CallFailed
from kaito.kube.objects import Json, ObjectKey
from kaito.kube.resources import ENDPOINTSLICES, SERVICES

_OF_SERVICE: Final = "kubernetes.io/service-name"


@final
class StoredServices:
    """Resolves the Services of one API server, as `HttpsCaller` wants it."""

    def __init__(self, storage: Storage, *, pods: str = "") -> None:
        """`pods`: why pods cannot be dialled; empty: they can."""
        self._services = storage.bucket(SERVICES.group_resource)
        self._slices = storage.bucket(ENDPOINTSLICES.group_resource)
        self._pods = pods

    def __call__(self, namespace: str, name: str, port: int) -> tuple[str, int] | None:
        """Host and port; None where there is no such Service. Raises CallFailed."""
        stored = self._services.get(ObjectKey(namespace, name))
        if stored is None:
            return None
        spec: Json = stored.json().get("spec") or {}
        if spec.get("type") == "ExternalName":
            return str(spec["externalName"]), port
        wanted = next((p for p in spec.get("ports") or () if p["port"] == port), None)
        if wanted is None:
            raise CallFailed(f'no service port {port} found for service "{name}"')
        unreachable = ""
        for endpoint, number in self._endpoints(ObjectKey(namespace, name), wanted.get("name")):
            if self._pods and (endpoint.get("targetRef") or {}).get("kind") == "Pod":
                place = f"{endpoint['addresses'][0]}:{number}"
                unreachable = f"dial tcp {place}: connect: no route to host: {self._pods}"
                continue
            return str(endpoint["addresses"][0]), number
        raise CallFailed(unreachable or f'no endpoints available for service "{name}"')

    def _endpoints(self, service: ObjectKey, port: str | None) -> Iterator[tuple[Json, int]]:
        """Every ready endpoint of a Service, with the number of the port of this name."""
        for stored in self._slices.scan(service.namespace):
            if stored.labels.get(_OF_SERVICE) != service.name:
                continue
            slice_ = stored.json()
            numbers = [p["port"] for p in slice_.get("ports") or () if _same(p.get("name"), port)]
            for endpoint in slice_.get("endpoints") or ():
                ready = (endpoint.get("conditions") or {}).get("ready", True)
                if ready and numbers and endpoint.get("addresses"):
                    yield endpoint, numbers[0]


def _same(one: str | None, other: str | None) -> bool:
    """Ports without a name have the same name."""
    return (one or "") == (other or "")
