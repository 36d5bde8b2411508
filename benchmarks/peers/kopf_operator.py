"""kopf: `on.event` over Pods that does nothing, with every optional part of kopf left idle."""

import logging
import os

import kopf
from benchmarks.peers.probe import Seen, answer, arguments

seen = Seen()


@kopf.on.startup()
def settle(settings: kopf.OperatorSettings, **_) -> None:
    """Nothing is posted, scanned for or peered with; those would only add to the cost."""
    settings.posting.enabled = False
    settings.scanning.disabled = True


@kopf.on.login()
def login(**words) -> kopf.ConnectionInfo | None:
    """Without any client library."""
    return kopf.login_with_kubeconfig(**words)


@kopf.on.event("v1", "pods")
def changed(spec, **_) -> None:
    """kopf has decoded the whole object already."""
    seen.events += 1
    seen.reconciles += 1


if __name__ == "__main__":
    _given = arguments()
    os.environ["KUBECONFIG"] = _given.kubeconfig
    logging.getLogger().setLevel(logging.ERROR)
    answer(seen)
    kopf.run(standalone=True, namespaces=[_given.namespace])
