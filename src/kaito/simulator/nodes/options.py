"""How long things take on simulated nodes."""

from dataclasses import dataclass

SIMULATED_LABEL = "kaito.sh/simulated"
"""On every Node that is made here: "true"."""

KUBELET_VERSION = "v1.36.3+kaito-simulated"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """Seconds of the world's clock unless said otherwise.

    The defaults are of the order of an AKS GPU pool: a few minutes from power-on to a Ready node
    with GPUs are spent by the cloud, the rest by the kubelet, the device plugin and image pulls.
    """

    boot: float = 40.0
    """From power-on until the kubelet registers the Node."""
    ready: float = 15.0
    """From registration until the network plugin is up and the Node is Ready."""
    gpu: float = 60.0
    """From Ready until the device plugin has registered its GPUs."""
    lease_every: float = 300.0
    """Between renewals of the Node's Lease (a real kubelet: 10). 0: no Lease at all."""

    pull_bytes_per_second: float = 150e6
    pull_overhead: float = 1.5
    """Resolve, authenticate, unpack the last layer."""
    pull_failure: float = 1.0
    """Until a pull that cannot work has failed."""
    image_backoff: float = 10.0
    """First wait after a failed pull; doubles up to `backoff_limit` (a real kubelet's values)."""
    create: float = 0.5
    """From image to running container."""
    stop: float = 2.0
    """From SIGTERM to the end of a program that obeys it."""
    crash_backoff: float = 10.0
    """Before the second restart; doubles up to `backoff_limit` (a real kubelet's values)."""
    backoff_limit: float = 300.0
    backoff_reset: float = 600.0
    """A container that ran that long starts its backoff anew."""
    mount_retry: float = 2.0
    """First wait after a failed mount; doubles up to 122 s (a real kubelet: from 0.5 s)."""

    task: float = 5.0
    """A task that nobody knows."""
    fetch_weights: float = 45.0
    fetch_data: float = 10.0
    pull_artifact: float = 8.0
    push: float = 12.0
    train: float = 600.0

    pod_network: str = "10.244.0.0/16"
    machine_network: str = "10.224.0.0/16"
    kubelet_address: str = ""
    """Where an API server reaches the kubelets' port for logs; empty: the machine's own address,
    which nothing answers."""
    kubelet_port: int = 0
    concurrency: int = 64
    """Pods whose status is being written at once."""
