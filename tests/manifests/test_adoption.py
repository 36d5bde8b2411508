"""What KAITO made becomes an intent that changes nothing, and that makes the same one again."""

import copy

import pytest

from kaito.kube.containment import contains
from kaito.manifests.adoption import as_found, config_maps_of
from kaito.manifests.identity import Identity
from tests.scenarios.installation import NAMES, Installation


def identity(found):
    return Identity(namespace="default", name=found.name, uid="OWNER")


@pytest.mark.parametrize("name", NAMES)
def test_the_live_object_contains_its_intent_but_for_our_label(name):
    """So applying it touches nothing of what pods are made of; the input is left as it was."""
    found = Installation(name)
    for live in found.of_kind("StatefulSet", "Job", "Service"):
        before = copy.deepcopy(live)

        intent = as_found(live, identity(found))

        assert live == before
        assert intent["metadata"].pop("labels") == {"kaito.sh/workspace": found.name}
        assert contains(live, intent)


def live_service(**spec):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "w", "namespace": "default"},
        "spec": {
            "clusterIP": "10.0.0.7",
            "clusterIPs": ["10.0.0.7"],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "http", "port": 80, "nodePort": 31000}],
            "selector": {"kaito.sh/workspace": "w"},
            "type": "LoadBalancer",
            **spec,
        },
    }


def us():
    return Identity(namespace="default", name="w", uid="OWNER")


def test_what_a_server_drew_for_one_service_is_not_asked_for_again():
    """Addresses and node ports belong to the object that is there; a new one gets its own."""
    spec = as_found(live_service(healthCheckNodePort=32000), us())["spec"]

    assert spec == {
        "ipFamilyPolicy": "SingleStack",
        "ports": [{"name": "http", "port": 80}],
        "selector": {"kaito.sh/workspace": "w"},
        "type": "LoadBalancer",
    }


def test_a_headless_service_stays_headless():
    """Without an address on purpose: a new one must not be given one."""
    spec = as_found(live_service(clusterIP="None", clusterIPs=["None"], ports=[]), us())["spec"]

    assert spec["clusterIP"] == "None"
    assert "clusterIPs" not in spec


def test_what_names_the_uid_of_one_job_is_left_out():
    """Another Job of that name selects pods by its own UID."""
    labels = {"controller-uid": "1", "job-name": "w", "kaito.sh/workspace": "w"}
    live = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "w", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"controller-uid": "1"}},
            "manualSelector": False,
            "backoffLimit": 6,
            "template": {
                "metadata": {"creationTimestamp": None, "labels": labels},
                "spec": {"containers": [{"name": "w"}]},
            },
        },
    }

    spec = as_found(live, us())["spec"]

    assert spec == {
        "backoffLimit": 6,
        "template": {
            "metadata": {"labels": {"kaito.sh/workspace": "w"}},
            "spec": {"containers": [{"name": "w"}]},
        },
    }


def test_it_belongs_to_the_workspace_and_bears_nobodys_annotations():
    """Annotations are written by many; whoever wrote one keeps it."""
    live = live_service()
    live["metadata"] |= {"labels": {"app": "x"}, "annotations": {"somebody.io/else": "1"}}

    metadata = as_found(live, us())["metadata"]

    assert metadata["labels"] == {"app": "x", "kaito.sh/workspace": "w"}
    assert [owner["uid"] for owner in metadata["ownerReferences"]] == ["OWNER"]
    assert "annotations" not in metadata


def test_the_config_maps_of_a_workload_are_those_it_mounts():
    """They are looked at for whose they are."""
    found = Installation("tuning-phi-3-mini-128k")

    assert config_maps_of(found.workload) == ["qlora-params-template"]
