"""This framework: a Controller over Pods, in a Manager as `serve` makes it, its options untouched.

`metadata`: the predicate looks at metadata alone. `spec`: it decodes the spec of every event.
`get`: the reconciler reads the object from the cache, and its spec. `partial`: the cache holds
metadata only.
"""

import asyncio

from benchmarks.peers.probe import Seen, answer, arguments, loop_factory

from kaito.framework.controller import Controller
from kaito.framework.events import Event
from kaito.framework.logging import configure_logging
from kaito.framework.manager import Manager
from kaito.framework.program import ProgramOptions, serve
from kaito.framework.reconcile import Done, Result
from kaito.framework.sources import for_object
from kaito.kube.clock import SystemClock
from kaito.kube.credentials import load
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import PODS


class Operator:
    """A no-op, which counts."""

    def __init__(self, given) -> None:
        self.given = given
        self.seen = Seen()
        self.store = None

    def setup(self, manager: Manager) -> None:
        source = for_object(
            PODS,
            predicate=self.spec if self.given.work == "spec" else self.metadata,
            namespaces=(self.given.namespace,),
            metadata_only=self.given.work == "partial",
        )
        manager.add(Controller("pods", self, [source]))
        self.store = manager.client.store(PODS)

    def metadata(self, event: Event) -> bool:
        self.seen.events += 1
        return True

    def spec(self, event: Event) -> bool:
        self.seen.events += 1
        event.record.get("spec")
        return True

    async def reconcile(self, key: ObjectKey) -> Result:
        self.seen.reconciles += 1
        if self.given.work == "get" and (pod := self.store.get(key)):
            pod.get("spec")
        return Done()


async def main(given) -> None:
    operator, stop = Operator(given), asyncio.Event()
    answer(operator.seen)
    configure_logging("json")
    credentials = await load(given.kubeconfig, None, {}, clock=SystemClock())
    await serve(operator.setup, ProgramOptions(name="pods"), credentials, stop)


if __name__ == "__main__":
    _given = arguments()
    with asyncio.Runner(loop_factory=loop_factory(_given.loop)) as _runner:
        _runner.run(main(_given))
