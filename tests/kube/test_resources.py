"""The built-in resources."""

from kaito.kube.resources import BUILTIN, CORE_EVENTS, EVENTS, PODS, STATEFULSETS


def test_built_in_resources_live_where_the_server_has_them():
    """The core group under /api, all others under /apis."""
    assert PODS.path("default", "a", "log") == "/api/v1/namespaces/default/pods/a/log"
    assert STATEFULSETS.path() == "/apis/apps/v1/statefulsets"
    assert EVENTS.path("x") == "/apis/events.k8s.io/v1/namespaces/x/events"
    assert CORE_EVENTS.path("x") == "/api/v1/namespaces/x/events"


def test_no_built_in_resource_is_listed_twice():
    """Each has its own place in the URL space."""
    paths = [resource.path() for resource in BUILTIN]

    assert len(paths) == len(set(paths)) > 30
