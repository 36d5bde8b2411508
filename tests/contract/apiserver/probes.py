"""The recorder's probes as a conversation: what a server makes of the smallest objects."""

from collections.abc import Iterator
from typing import Any

import yaml

from kaito.apiserver.catalog import KINDS
from tests.controlplane.programs import HERE

_ELSEWHERE = {
    # Filled in by what only a real server has, or drawn: see docs/simulator.md.
    "PersistentVolume": ["spec"],
    "PersistentVolumeClaim": ["spec", "status"],
    "DaemonSet": ["spec"],
}


def steps() -> Iterator[dict[str, Any]]:
    """One creation for each probe of a kind that the embedded server knows."""
    known = {(kind.resource.api_version, kind.resource.kind): kind for kind in KINDS}
    for probe in yaml.safe_load_all((HERE / "probes.yaml").read_text()):
        kind = known.get((probe["apiVersion"], probe["kind"]))
        if kind is None or probe["kind"] == "Event":  # an Event is about its own namespace
            continue
        step = {"POST": f"{kind.resource.path('$ns')}?dryRun=All", "body": probe}
        if probe["kind"] in _ELSEWHERE:
            step["only"] = _ELSEWHERE[probe["kind"]]
        yield step
