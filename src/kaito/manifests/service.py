"""Services: the address of a model, and the headless one that names its pods."""

from kaito.api.names import Label
from kaito.kube.objects import Json
from kaito.manifests.identity import Identity

HTTP_PORT = 80


def headless_name(identity: Identity) -> str:
    return f"{identity.name}-headless"


def port(name: str, number: int, target: int) -> Json:
    return {"name": name, "port": number, "targetPort": target, "protocol": "TCP"}


def first_pod_service(identity: Identity, ports: list[Json], *, load_balancer: bool) -> Json:
    """The Service under the Workspace's own name; it reaches pod 0, which serves the API.

    Not-ready addresses are published as upstream does: clients may watch a model load.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": identity.metadata(identity.name),
        "spec": {
            "type": "LoadBalancer" if load_balancer else "ClusterIP",
            "selector": {
                **identity.labels,
                Label.POD_NAME: f"{identity.name}-0",
            },
            "ports": ports,
            "publishNotReadyAddresses": True,
        },
    }


def headless_service(identity: Identity) -> Json:
    """Gives each pod of the StatefulSet a stable DNS name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": identity.metadata(headless_name(identity)),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": identity.labels,
            "publishNotReadyAddresses": True,
        },
    }
