"""`kubectl apply` without kubectl."""

import json
from random import Random

import pytest

from kaito.api.crds import documents as crds
from kaito.api.resources import WORKSPACES_V1ALPHA1
from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer
from kaito.cli.applying import LAST_APPLIED, Applier, in_order
from kaito.cli.failure import REFUSED, USAGE, Failure
from kaito.cli.inputs import parse
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import CONFIGMAPS, CRDS

CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: c
data:
  a: "1"
  b: "2"
"""
KEY = ObjectKey("default", "c")


def cluster():
    server = ApiServer(clock=LoopClock(), random=Random(1))
    warnings = []
    client = Client(
        in_process(server), clock=LoopClock(), random=Random(1), on_warning=warnings.append
    )
    return client, warnings


def document(text, source="f.yaml"):
    (found,) = parse(source, text)
    return found


async def test_created_unchanged_configured():
    """The same three words as kubectl, for the same three cases."""
    client, _ = cluster()
    applier = Applier(client)

    outcomes = [
        (await applier.apply(document(text)))[2]
        for text in (CONFIG, CONFIG, CONFIG.replace('"2"', '"3"'))
    ]

    assert outcomes == ["created", "unchanged", "configured"]


async def test_what_is_no_longer_asked_for_goes_and_what_others_set_stays():
    """The three-way merge: last applied, wanted, live."""
    client, _ = cluster()
    applier = Applier(client)
    await applier.apply(document(CONFIG))
    await client.merge_patch(CONFIGMAPS, KEY, {"data": {"theirs": "x"}})

    await applier.apply(document(CONFIG.replace('  b: "2"\n', "")))

    assert (await client.get(CONFIGMAPS, KEY)).get("data") == {"a": "1", "theirs": "x"}


async def test_it_leaves_what_kubectl_leaves():
    """The annotation is kubectl's, so a later kubectl apply warns about nothing."""
    client, _ = cluster()
    await Applier(client).apply(document(CONFIG))

    live = await client.get_json(CONFIGMAPS, KEY)

    told = json.loads(live["metadata"]["annotations"][LAST_APPLIED])
    assert told["data"] == {"a": "1", "b": "2"}
    assert told["metadata"] == {"annotations": {}, "name": "c", "namespace": "default"}


async def test_custom_kinds_are_found_by_discovery():
    """The version that the file names is the one that is written."""
    client, _ = cluster()
    for crd in crds():
        await client.create(CRDS, crd)
    text = (
        "apiVersion: kaito.sh/v1alpha1\nkind: Workspace\nmetadata: {name: w}\n"
        "resource: {labelSelector: {matchLabels: {a: b}}}\n"
        "inference: {preset: {name: phi-4-mini-instruct}}\n"
    )

    resource, record, outcome = await Applier(client, namespace="default").apply(document(text))

    assert (resource, outcome) == (WORKSPACES_V1ALPHA1, "created")
    assert record.key == ObjectKey("default", "w")


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("kind: A\nmetadata: {name: x}\n", USAGE, "f.yaml:1: no apiVersion"),
        ("apiVersion: no.such/v1\nkind: A\n", REFUSED, 'f.yaml:2: the cluster knows no kind "A"'),
        (CONFIG.replace("name: c", "name: C!"), REFUSED, "f.yaml:4: .*invalid"),
    ],
)
async def test_refusals_name_file_and_line(text, code, words):
    """One line, and the exit code that is documented."""
    client, _ = cluster()

    with pytest.raises(Failure, match=words) as refused:
        await Applier(client).apply(document(text))

    assert refused.value.code == code


def test_workspaces_come_last():
    """A Workspace's Secrets and ConfigMaps are there when it comes, whatever the file's order."""
    kinds = ["Workspace", "Secret", "Namespace", "ConfigMap"]
    found = parse("f", "---\n".join(f"kind: {kind}\n" for kind in kinds))

    assert [d.kind for d in in_order(found)] == ["Namespace", "Secret", "ConfigMap", "Workspace"]
