"""The `control-plane` group, put together: every controller of the embedded cluster."""

from collections.abc import Iterable

from kaito.apiserver import catalog
from kaito.framework.manager import Manager
from kaito.kube.objects import Resource
from kaito.simulator.controllers.deployment import deployment_controller
from kaito.simulator.controllers.disruption import disruption_controller
from kaito.simulator.controllers.endpointslice import endpointslice_controller
from kaito.simulator.controllers.garbage import garbage_controller
from kaito.simulator.controllers.job import job_controller
from kaito.simulator.controllers.namespace import namespace_controller
from kaito.simulator.controllers.podgc import podgc_controller
from kaito.simulator.controllers.quota import quota_controller
from kaito.simulator.controllers.replicaset import replicaset_controller
from kaito.simulator.controllers.scheduler import scheduler_controller
from kaito.simulator.controllers.statefulset import statefulset_controller
from kaito.simulator.controllers.tainteviction import taint_eviction_controller

USER_AGENT = "kaito-control-plane"

_OWNED = frozenset({"list", "watch", "delete"})


def collectable() -> Iterable[Resource]:
    """The built-in kinds whose objects may own or be owned."""
    return [kind.resource for kind in catalog.KINDS if set(kind.verbs) >= _OWNED]


def add_control_plane(manager: Manager, *, ca_pem: str = "") -> None:
    """Add the group's controllers to a manager that does not run yet.

    `ca_pem`: the certificate authority that pods are told to trust. Not for a real cluster, which
    has these controllers already.
    """
    cache, live = manager.cache, manager.live
    for controller in (
        namespace_controller(cache, live, manager.clock, ca_pem),
        scheduler_controller(manager),
        statefulset_controller(manager),
        replicaset_controller(manager),
        deployment_controller(manager),
        job_controller(manager),
        endpointslice_controller(cache, live),
        podgc_controller(manager),
        taint_eviction_controller(manager),
        disruption_controller(manager),
        quota_controller(manager),
    ):
        manager.add(controller)
    recorder = manager.recorder("garbage-collector-controller")
    manager.add(garbage_controller(cache, live, recorder, collectable()))
