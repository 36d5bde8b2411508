"""What is stored is nothing to the garbage collector, however much there is of it."""

import gc

from kaito.kube.objects import Json, ObjectKey
from kaito.kube.resources import PODS
from kaito.testing.api import embedded_api

COUNT = 100


def _pod(number: int) -> Json:
    labels = {"app": "web", "number": str(number)}
    return {
        "metadata": {"name": f"p{number}", "namespace": "default", "labels": labels},
        "spec": {"containers": [{"name": "web", "image": "nginx"}]},
    }


def _tracked() -> int:
    gc.collect()
    return len(gc.get_objects())


async def test_stored_objects_and_their_history_are_not_tracked():
    """A stored object and its changes, which stay for minutes, add less than a tenth of a tracked
    object each: a full collection takes as long with ten thousand pods as with none."""
    async with embedded_api() as api:
        for number in range(2):  # what the first ones bring (schemas, types) is no part of it
            await api.client.create(PODS, _pod(COUNT + number))
            key = ObjectKey("default", f"p{COUNT + number}")
            await api.client.merge_patch(PODS, key, {"metadata": {"labels": {"app": "db"}}})
        before = _tracked()
        for number in range(COUNT):
            await api.client.create(PODS, _pod(number))
            key = ObjectKey("default", f"p{number}")
            await api.client.merge_patch(PODS, key, {"metadata": {"labels": {"app": "db"}}})
        after = _tracked()

        assert len(api.server.core.storage.bucket("pods").changes) == 2 * (COUNT + 2)
        assert after - before <= 0.1 * 2 * COUNT
