"""Names and addresses of the cluster's network."""

from collections.abc import Iterable

import pytest

from kaito.kube.clock import LoopClock
from kaito.kube.objects import Json, Record, record_of
from kaito.simulator.engine import Engine
from kaito.simulator.network import Network, NoSuchHost, Refused, Unreachable
from tests.simulator.pods import VLLM, pod, shell


def _pod(name: str) -> Record:
    made = pod(shell(VLLM), name=name, hostname=name, subdomain="w-headless")
    return record_of({**made, "status": {"podIP": f"10.244.0.{len(name)}", "phase": "Running"}})


def _service(name: str, address: str) -> Record:
    ports = [{"name": "http", "port": 80, "targetPort": 5000}] if address != "None" else []
    spec = {"clusterIP": address, "ports": ports}
    metadata = {"name": name, "namespace": "default"}
    return record_of({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


def _slice(service: str, *pods: str, ready: bool = True) -> Record:
    endpoints: list[Json] = [
        {
            "addresses": ["10.244.0.3"],
            "conditions": {"ready": ready},
            "targetRef": {"kind": "Pod", "name": name, "namespace": "default"},
        }
        for name in pods
    ]
    return record_of(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{service}-x", "namespace": "default"},
            "endpoints": endpoints,
            "ports": [{"name": "http", "port": 5000, "protocol": "TCP"}],
        }
    )


class Cluster:
    """A directory of two Services and a pod."""

    def __init__(self) -> None:
        self.services = {
            "w": _service("w", "10.96.0.7"),
            "w-headless": _service("w-headless", "None"),
            "empty": _service("empty", "10.96.0.8"),
        }
        self.pods = {"w-0": _pod("w-0")}

    def service(self, namespace: str, name: str) -> Record | None:
        return self.services.get(name) if namespace == "default" else None

    def service_at(self, address: str) -> Record | None:
        found = [s for s in self.services.values() if s.get("spec", "clusterIP") == address]
        return found[0] if found else None

    def slices(self, namespace: str, service: str) -> Iterable[Record]:
        return [_slice(service, "w-0", ready=service != "empty")]

    def pod_at(self, address: str) -> Record | None:
        return self.pods["w-0"] if address == "10.244.0.3" else None

    def pod(self, namespace: str, name: str) -> Record | None:
        return self.pods.get(name)


NETWORK = Network(Cluster(), Engine(LoopClock()))


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("10.96.0.7", 80),
        ("w", 80),
        ("w.default", 80),
        ("w.default.svc", 80),
        ("w.default.svc.cluster.local", 80),
        ("W.default.svc.cluster.local.", 80),
        ("10.244.0.3", 5000),
        ("w-headless", 5000),
        ("w-0.w-headless.default.svc.cluster.local", 5000),
    ],
)
def test_ways_to_a_pod(host: str, port: int):
    """By cluster address, by any form of a Service's name, by pod address and pod name."""
    target = NETWORK.find(host, port, "default")

    assert (target.pod.meta.name, target.port) == ("w-0", 5000)


@pytest.mark.parametrize(
    ("host", "port", "failure"),
    [
        ("nowhere", 80, NoSuchHost),
        ("w.other", 80, NoSuchHost),
        ("example.com", 80, NoSuchHost),
        ("a.b.c.d.e", 80, NoSuchHost),
        ("w-9.w-headless.default.svc", 5000, NoSuchHost),
        ("w", 81, Refused),
        ("empty", 80, Refused),
        ("10.96.0.99", 80, Unreachable),
    ],
)
def test_ways_to_nowhere(host: str, port: int, failure: type[Exception]):
    """Unknown names, ports without a listener, Services without endpoints, unused addresses."""
    with pytest.raises(failure):
        NETWORK.find(host, port, "default")
