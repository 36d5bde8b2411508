"""The kubeconfig of one user of one cluster, with everything in it."""

from base64 import b64encode

from kaito.kube.objects import Json


def kubeconfig(
    name: str, *, server: str, ca_pem: bytes, user: Json, namespace: str = "default"
) -> Json:
    """The document; `name` is that of the cluster, the user and the context."""
    cluster = {"server": server, "certificate-authority-data": b64encode(ca_pem).decode()}
    context = {"cluster": name, "user": name, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": context}],
    }


def with_certificate(certificate: bytes, key: bytes) -> Json:
    """A user who shows this certificate; both PEM."""
    return {
        "client-certificate-data": b64encode(certificate).decode(),
        "client-key-data": b64encode(key).decode(),
    }
