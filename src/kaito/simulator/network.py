"""The cluster's network: names and addresses lead to Services, these to endpoints, to pods.

Nothing here opens a socket. A connection fails as it would on a real cluster: an unknown name, a
Service without endpoints (refused, as kube-proxy rejects it), a port nobody listens on, an address
nobody has (no answer until the client's timeout).
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, final

from kaito.kube.objects import Json, Record
from kaito.kube.transport import Request, Response, Stream
from kaito.simulator.engine import Engine


class NoSuchHost(Exception):
    """The name does not resolve."""


class Refused(Exception):
    """Nobody listens there."""


class NoSuchPort(Refused):
    """The Service has no such port."""


class Unreachable(Exception):
    """Nothing answers, not even with a refusal."""


class Directory(Protocol):
    """What the network knows of the cluster; a node's view, by informers."""

    def service(self, namespace: str, name: str) -> Record | None: ...

    def service_at(self, address: str) -> Record | None:
        """The Service with that cluster address."""
        ...

    def slices(self, namespace: str, service: str) -> Iterable[Record]:
        """The EndpointSlices of a Service."""
        ...

    def pod_at(self, address: str) -> Record | None:
        """The running pod with that address."""
        ...

    def pod(self, namespace: str, name: str) -> Record | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One pod and the port on it."""

    pod: Record
    port: int


@final
class Network:
    """Carries HTTP requests from anywhere in the cluster to pods."""

    def __init__(self, directory: Directory, engine: Engine) -> None:
        self._directory = directory
        self._engine = engine

    async def request(
        self, host: str, port: int, request: Request, *, namespace: str = "default"
    ) -> Response | Stream:
        """Send one request to `host:port` as a pod of `namespace` would.

        Raises NoSuchHost, Refused or Unreachable.
        """
        return await self.to_pod(self.find(host, port, namespace), request)

    async def to_pod(self, target: Target, request: Request) -> Response | Stream:
        """Send one request to a pod itself. Raises Refused."""
        try:
            return await self._engine.handle(target.pod.json(), request, port=target.port)
        except ConnectionRefusedError as error:
            raise Refused(str(error)) from error

    def find(self, host: str, port: int, namespace: str) -> Target:
        """The pod that a connection to `host:port` reaches, before asking whether it listens."""
        if _is_address(host):
            service = self._directory.service_at(host)
            if service is not None:
                return self.behind(service, port)
            pod = self._directory.pod_at(host)
            if pod is None:
                raise Unreachable(host)
            return Target(pod=pod, port=port)
        return self._by_name(host.rstrip(".").lower(), port, namespace)

    def service(self, namespace: str, name: str, port: str) -> Target:
        """The pod behind a Service's port, by number or name; empty: its first."""
        found = self._directory.service(namespace, name)
        if found is None:
            raise NoSuchHost(f"{name}.{namespace}")
        if not port:
            ports = found.get("spec", "ports") or ({"port": 80},)
            return self.behind(found, ports[0]["port"])
        return self.behind(found, int(port) if port.isdigit() else port)

    def behind(self, service: Record, port: int | str) -> Target:
        """The first ready endpoint of a Service's port, by number or name."""
        ports = service.get("spec", "ports") or ()
        wanted = next((p for p in ports if port in (p["port"], p.get("name"))), None)
        if wanted is None:
            raise NoSuchPort(f"{service.meta.name}:{port}")
        for one in self._directory.slices(service.meta.namespace, service.meta.name):
            target = self._in_slice(one, wanted)
            if target is not None:
                return target
        raise Refused(f"{service.meta.name}:{port}")

    def _in_slice(self, one: Record, wanted: Json) -> Target | None:
        ports = one.get("ports") or ()
        number = next(
            (p["port"] for p in ports if (p.get("name") or "") == (wanted.get("name") or "")), None
        )
        if number is None:
            return None
        for endpoint in one.get("endpoints") or ():
            reference = endpoint.get("targetRef") or {}
            pod = self._directory.pod(reference.get("namespace", ""), reference.get("name", ""))
            if pod is not None and (endpoint.get("conditions") or {}).get("ready") is not False:
                return Target(pod=pod, port=number)
        return None

    def _by_name(self, host: str, port: int, namespace: str) -> Target:
        """`svc`, `svc.ns`, `svc.ns.svc`, `pod.svc.ns.svc`, each also with the cluster's domain."""
        parts = host.removesuffix(".cluster.local").split(".")
        if len(parts) > 1 and parts[-1] == "svc":
            parts.pop()
        if len(parts) == 3:
            return self._of_pod(parts, port, host)
        if len(parts) > 3:
            raise NoSuchHost(host)
        name, where = parts[0], parts[1] if len(parts) == 2 else namespace
        service = self._directory.service(where, name)
        if service is None:
            raise NoSuchHost(host)
        if service.get("spec", "clusterIP") != "None":
            return self.behind(service, port)
        for one in self._directory.slices(where, name):
            for pod in self._pods(one):
                return Target(pod=pod, port=port)
        raise NoSuchHost(host)

    def _of_pod(self, parts: list[str], port: int, host: str) -> Target:
        """A pod's own name under its headless Service."""
        hostname, service, namespace = parts
        for one in self._directory.slices(namespace, service):
            for pod in self._pods(one):
                if (pod.get("spec", "hostname") or pod.meta.name) == hostname:
                    return Target(pod=pod, port=port)
        raise NoSuchHost(host)

    def _pods(self, one: Record) -> Iterable[Record]:
        for endpoint in one.get("endpoints") or ():
            reference = endpoint.get("targetRef") or {}
            if (endpoint.get("conditions") or {}).get("ready") is False:
                continue
            pod = self._directory.pod(reference.get("namespace", ""), reference.get("name", ""))
            if pod is not None:
                yield pod


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
