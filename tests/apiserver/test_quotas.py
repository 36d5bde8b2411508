"""What is counted for a quota, and what an API server says that nobody counts for."""

import pytest

from kaito.apiserver import quotas
from kaito.apiserver.amounts import of_pod
from kaito.kube.errors import Forbidden
from kaito.kube.objects import Json
from kaito.kube.quantity import total
from kaito.kube.resources import RESOURCEQUOTAS, SECRETS
from kaito.testing.api import embedded_api

QUOTA = {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": {"secrets": "1"}}}
SECRET = {"metadata": {"name": "s", "namespace": "default"}}


def _asks(cpu: str, **fields: object) -> Json:
    return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **fields}


async def test_a_quota_that_nobody_has_counted():
    """What is used must be known: a quota without it refuses, one without status is none yet."""
    async with embedded_api() as api:
        quota = await api.client.create(RESOURCEQUOTAS, QUOTA)
        await api.client.create(SECRETS, SECRET, dry_run=True)
        status = {"status": {"hard": {"secrets": "1"}}}
        await api.client.merge_patch(RESOURCEQUOTAS, quota.key, status, subresource="status")
        with pytest.raises(Forbidden, match="status unknown for quota: q, resources: secrets"):
            await api.client.create(SECRETS, SECRET)


async def test_a_write_that_fails_uses_nothing():
    """Neither a dry run nor a name that is taken is counted; what is made is, at once."""
    async with embedded_api() as api:
        quota = await api.client.create(
            RESOURCEQUOTAS, {**QUOTA, "spec": {"hard": {"secrets": "3"}}}
        )
        status = {"status": {"hard": {"secrets": "3"}, "used": {"secrets": "0"}}}
        await api.client.merge_patch(RESOURCEQUOTAS, quota.key, status, subresource="status")
        await api.client.create(SECRETS, SECRET, dry_run=True)
        await api.client.create(SECRETS, SECRET)
        with pytest.raises(Exception, match="already exists"):
            await api.client.create(SECRETS, SECRET)
        found = await api.client.get(RESOURCEQUOTAS, quota.key)
        assert found.get("status", "used") == {"secrets": "1"}


def test_which_kind_a_resource_counts():
    """By the names that Kubernetes documents; what is none of them counts nothing."""
    for name, kind in {
        "pods": "pods",
        "cpu": "pods",
        "limits.memory": "pods",
        "requests.nvidia.com/gpu": "pods",
        "hugepages-2Mi": "pods",
        "requests.hugepages-2Mi": "pods",
        "limits.nvidia.com/gpu": None,
        "nvidia.com/gpu": None,
        "requests.kubernetes.io/x": None,
        "services.loadbalancers": "services",
        "services.others": None,
        "requests.storage": "persistentvolumeclaims",
        "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "persistentvolumeclaims",
        "count/jobs.batch": "jobs.batch",
        "nonsense": None,
    }.items():
        assert quotas.counted(name) == kind, name


def test_containers_before_others():
    """Init containers run one by one, beside the sidecars that have started; then all the rest."""
    spec = {
        "containers": [_asks("1"), _asks("500m")],
        "initContainers": [_asks("1", restartPolicy="Always"), _asks("2")],
    }
    assert of_pod(spec, "requests") == {"cpu": "3"}
    spec["initContainers"][1] = _asks("100m")
    assert of_pod({**spec, "overhead": {"cpu": "50m"}}, "requests") == {"cpu": "2550m"}
    assert of_pod({**spec, "overhead": {"cpu": "50m"}}, "limits") == {}


def test_what_services_and_claims_use():
    """A balanced service uses ports of nodes unless it says no; a claim counts for its class."""
    ports = [{"port": 80}, {"port": 81, "nodePort": 31000}]
    service = {"metadata": {}, "spec": {"type": "LoadBalancer", "ports": ports}}
    assert quotas.usage("services", service) == {
        "count/services": "1",
        "services": "1",
        "services.loadbalancers": "1",
        "services.nodeports": "2",
    }
    service["spec"]["allocateLoadBalancerNodePorts"] = False
    assert quotas.usage("services", service)["services.nodeports"] == "1"
    spec = {"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}}
    used = quotas.usage("persistentvolumeclaims", {"metadata": {}, "spec": spec})
    prefix = "gold.storageclass.storage.k8s.io/"
    assert {name: text for name, text in used.items() if name.startswith(prefix)} == {
        f"{prefix}requests.storage": "1Gi",
        f"{prefix}persistentvolumeclaims": "1",
    }


def test_sums_keep_the_form_of_the_first_that_counts():
    """As a server adds quantities."""
    assert total(["0", "200Mi", "200Mi"]) == "400Mi"
    assert total(["300m", "300m", "400m"]) == "1"
    assert total(["1Gi", "1M"]) == "1074741824"
    assert total([]) == "0"
