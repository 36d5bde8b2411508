"""A node's view of the cluster's network: Services, endpoints and pods, by address and by name."""

from collections.abc import Iterable
from typing import final

from kaito.framework.cache import Cache
from kaito.framework.store import Store
from kaito.kube.objects import ObjectKey, Record
from kaito.kube.resources import ENDPOINTSLICES, PODS, SERVICES

ADDRESS = "address"
NODE = "node"
SERVICE = "service"
SERVICE_LABEL = "kubernetes.io/service-name"


def pods_of(cache: Cache) -> Store:
    """All pods, by address and by node."""
    indexes = {ADDRESS: pod_addresses, NODE: node_names}
    return cache.informer(PODS, indexes=indexes).store


def pod_addresses(pod: Record) -> Iterable[str]:
    status = pod.get("status") or {}
    if status.get("podIP") and status.get("phase") in ("Pending", "Running"):
        yield status["podIP"]


def node_names(pod: Record) -> Iterable[str]:
    name = pod.get("spec", "nodeName")
    if name:
        yield name


def _service_addresses(service: Record) -> Iterable[str]:
    addresses = service.get("spec", "clusterIPs") or [service.get("spec", "clusterIP")]
    return [address for address in addresses if address and address != "None"]


def _service_names(one: Record) -> Iterable[str]:
    name = one.meta.labels.get(SERVICE_LABEL)
    if name:
        yield f"{one.meta.namespace}/{name}"


@final
class CachedDirectory:
    """The `Directory` of `kaito.simulator.network`, from informers."""

    def __init__(self, cache: Cache) -> None:
        self._pods = pods_of(cache)
        self._services = cache.informer(SERVICES, indexes={ADDRESS: _service_addresses}).store
        self._slices = cache.informer(ENDPOINTSLICES, indexes={SERVICE: _service_names}).store

    def service(self, namespace: str, name: str) -> Record | None:
        return self._services.get(ObjectKey(namespace, name))

    def service_at(self, address: str) -> Record | None:
        return next(iter(self._services.by_index(ADDRESS, address)), None)

    def slices(self, namespace: str, service: str) -> Iterable[Record]:
        return self._slices.by_index(SERVICE, f"{namespace}/{service}")

    def pod_at(self, address: str) -> Record | None:
        return next(iter(self._pods.by_index(ADDRESS, address)), None)

    def pod(self, namespace: str, name: str) -> Record | None:
        return self._pods.get(ObjectKey(namespace, name))
