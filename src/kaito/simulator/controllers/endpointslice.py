"""EndpointSlices: the addresses behind a Service, IPv4, one slice a Service."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final, final

from kaito.framework.cache import Cache
from kaito.framework.conditions import find_condition
from kaito.framework.controller import Controller
from kaito.framework.reconcile import Done, Result
from kaito.framework.sources import for_object, mapped
from kaito.kube.client import Client
from kaito.kube.errors import AlreadyExists, NotFound
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import ENDPOINTSLICES, PODS, SERVICES

NAME: Final = "endpointslice"
SERVICE_NAME: Final = "kubernetes.io/service-name"
HEADLESS: Final = "service.kubernetes.io/headless"
MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
MANAGER: Final = "endpointslice-controller.k8s.io"
_DRAWN: Final = str.maketrans("0123456789abcdef", "bcdfghjklmnpqrst")
"""From hexadecimal digits to letters that form no words, as in names that are drawn."""


def endpointslice_controller(cache: Cache, client: Client) -> Controller:
    """Keeps one EndpointSlice for every Service that has a selector."""
    reconciler = Slicer(cache, client)
    sources = [
        for_object(SERVICES),
        mapped(PODS, reconciler.services_of),
        mapped(ENDPOINTSLICES, _service_of),
    ]
    return Controller(NAME, reconciler, sources)


def _service_of(slice_: Record) -> Iterable[ObjectKey]:
    name = slice_.meta.labels.get(SERVICE_NAME)
    return (ObjectKey(slice_.meta.namespace, name),) if name else ()


def _matches(selector: Json | None, pod: Record) -> bool:
    labels = pod.meta.labels
    return bool(selector) and all(labels.get(k) == v for k, v in (selector or {}).items())


@final
class Slicer:
    """Makes the slice of a Service be what its pods are."""

    def __init__(self, cache: Cache, client: Client) -> None:
        self._services = cache.informer(SERVICES).store
        self._pods = cache.informer(PODS).store
        self._slices = cache.informer(ENDPOINTSLICES).store
        self._client = client

    def services_of(self, pod: Record) -> Iterable[ObjectKey]:
        """The Services whose selector matches a pod."""
        for service in self._services.list(namespace=pod.meta.namespace):
            if _matches(service.get("spec", "selector"), pod):
                yield service.key

    async def reconcile(self, key: ObjectKey) -> Result:
        service = self._services.get(key)
        if service is None or service.meta.deleting:
            return Done()
        selector = service.get("spec", "selector")
        if not selector or service.get("spec", "type") == "ExternalName":
            return Done()
        pods = self._pods.list(namespace=key.namespace)
        wanted = endpoint_slice(service, [pod for pod in pods if _matches(selector, pod)])
        live = self._slices.get(ObjectKey(key.namespace, wanted["metadata"]["name"]))
        await self._write(live, wanted)
        return Done()

    async def _write(self, live: Record | None, wanted: Json) -> None:
        if live is None:
            with suppress(AlreadyExists, NotFound):
                await self._client.create(ENDPOINTSLICES, wanted)
            return
        if any((live.get(field) or []) != wanted[field] for field in ("endpoints", "ports")):
            wanted["metadata"]["resourceVersion"] = live.meta.resource_version
            with suppress(NotFound):
                await self._client.replace(ENDPOINTSLICES, wanted)


def endpoint_slice(service: Record, pods: list[Record]) -> Json:
    """The slice of a Service and the pods that its selector matches. Pure."""
    meta = service.meta
    addressed = sorted(
        (pod for pod in pods if pod.get("status", "podIP") and not _finished(pod)),
        key=lambda pod: pod.meta.name,
    )
    return {
        "apiVersion": ENDPOINTSLICES.api_version,
        "kind": ENDPOINTSLICES.kind,
        "metadata": {
            "name": f"{meta.name}-{meta.uid[:5].translate(_DRAWN)}",
            "namespace": meta.namespace,
            "labels": {
                **meta.labels,
                **({HEADLESS: ""} if service.get("spec", "clusterIP") == "None" else {}),
                SERVICE_NAME: meta.name,
                MANAGED_BY: MANAGER,
            },
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": meta.name,
                    "uid": meta.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "addressType": "IPv4",
        "endpoints": [_endpoint(service, pod) for pod in addressed],
        "ports": _ports(service, addressed),
    }


def _finished(pod: Record) -> bool:
    return pod.get("status", "phase") in ("Succeeded", "Failed")


def _endpoint(service: Record, pod: Record) -> Json:
    found = find_condition(pod.get("status", "conditions"), "Ready")
    serving = found is not None and found.status == "True"
    terminating = pod.meta.deleting
    published = bool(service.get("spec", "publishNotReadyAddresses"))
    spec = pod.get("spec") or {}
    endpoint: Json = {
        "addresses": [pod.get("status", "podIP")],
        "conditions": {
            "ready": published or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "nodeName": spec.get("nodeName"),
        "targetRef": {
            "kind": "Pod",
            "namespace": pod.meta.namespace,
            "name": pod.meta.name,
            "uid": pod.meta.uid,
        },
    }
    if spec.get("hostname") and spec.get("subdomain") == service.meta.name:
        endpoint["hostname"] = spec["hostname"]
    return {name: value for name, value in endpoint.items() if value is not None}


def _ports(service: Record, pods: list[Record]) -> list[Json]:
    """The Service's ports as the pods have them; named ones as the first pod names them."""
    found = []
    for port in service.get("spec", "ports") or ():
        number = target_port(port, pods[0] if pods else None)
        if number is not None:
            name = {"name": port["name"]} if port.get("name") else {"name": ""}
            found.append({**name, "protocol": port.get("protocol", "TCP"), "port": number})
    return found


def target_port(port: Json, pod: Record | None) -> int | None:
    """The number behind `targetPort`; None where no pod has a port of that name."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    for container in (pod.get("spec", "containers") or ()) if pod is not None else ():
        for candidate in container.get("ports") or ():
            if candidate.get("name") == target:
                return int(candidate["containerPort"])
    return None
