"""What can be done to the simulated world from outside it: quotas, accidents, and the bill."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import final

from kaito.kube.objects import Json, ObjectKey
from kaito.simulator.arm.endpoint import ArmEndpoint
from kaito.simulator.arm.meter import Meter
from kaito.simulator.engine import Engine
from kaito.simulator.nodes.group import Nodes
from kaito.simulator.nodes.moment import Crash


@dataclass(frozen=True, slots=True, kw_only=True)
class _Accident:
    """Patterns as shells have them."""

    namespace: str
    pod: str
    container: str
    crash: Crash


@final
class World:
    """One hand on the cloud, one on the machines."""

    def __init__(self, arm: ArmEndpoint, nodes: Nodes, engine: Engine) -> None:
        self._arm = arm
        self._nodes = nodes
        self._engine = engine
        self._accidents: list[_Accident] = []
        nodes.kubelets.crash = self._crash

    # ---- the cloud

    @property
    def meter(self) -> Meter:
        """What has been made and used so far."""
        return self._arm.meter

    def set_quota(self, size_or_family: str, vcpus: int | None) -> None:
        """Limit the vCPUs of a family of VM sizes; None: no limit."""
        self._arm.set_quota(size_or_family, vcpus)

    # ---- machines and pods

    def fail_containers(
        self,
        pod: str,
        *,
        namespace: str = "*",
        container: str = "*",
        code: int = 1,
        after: float = 1.0,
    ) -> None:
        """Let containers that match end with `code`, so many seconds after each start."""
        crash = Crash(code=code, after=after)
        self._accidents.append(
            _Accident(namespace=namespace, pod=pod, container=container, crash=crash)
        )
        self._poke_all()

    def stop_failing(self) -> None:
        """No container fails on purpose any more."""
        self._accidents.clear()
        self._poke_all()

    def infect(self, key: ObjectKey, status: int = 503) -> None:
        """Let a pod's engine answer everything with this status. Raises KeyError: not running."""
        self._engine.infect(self._nodes.kubelets.uid_of(key), status)
        self._nodes.kubelets.poke(key)

    def cure(self, key: ObjectKey) -> None:
        self._engine.cure(self._nodes.kubelets.uid_of(key))
        self._nodes.kubelets.poke(key)

    def _poke_all(self) -> None:
        for key in self._nodes.kubelets.playing():
            self._nodes.kubelets.poke(key)

    def _crash(self, pod: Json, container: str) -> Crash | None:
        metadata = pod["metadata"]
        for accident in self._accidents:
            if (
                fnmatchcase(metadata["namespace"], accident.namespace)
                and fnmatchcase(metadata["name"], accident.pod)
                and fnmatchcase(container, accident.container)
            ):
                return accident.crash
        return None
