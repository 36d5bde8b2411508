"""What is wrong with pods, in the words that help most."""

import pytest

from kaito.controllers.workspace.pods import failure, trouble
from tests.controllers.workspace.builders import container, pod

WAITING = {
    "an image that cannot be pulled": ("ImagePullBackOff", "ImagePullError"),
    "an image name that is none": ("InvalidImageName", "ImagePullError"),
    "a missing key of a Secret": ("CreateContainerConfigError", "ContainerStartError"),
    "a container that keeps failing": ("CrashLoopBackOff", "ContainerCrashLoopBackOff"),
}


@pytest.mark.parametrize(("state", "reason"), WAITING.values(), ids=WAITING)
def test_waiting_containers_are_classified(state, reason):
    """Each way in which a container cannot start has its own reason."""
    ill = pod(containerStatuses=[container(waiting={"reason": state, "message": "words"})])

    step = trouble([ill])

    assert step is not None
    assert step.reason == reason


def test_memory_is_told_before_the_crash_loop_it_causes():
    """A container that was killed for memory and now loops is ContainerOOMKilled."""
    looping = container(waiting={"reason": "CrashLoopBackOff"})
    looping["lastState"] = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}

    step = trouble([pod(containerStatuses=[looping])])

    assert step is not None
    assert step.reason == "ContainerOOMKilled"


def test_the_schedulers_words_are_kept():
    """An unschedulable pod shows what the scheduler said."""
    words = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": words,
    }

    step = trouble([pod(conditions=[condition])])

    assert step is not None
    assert words in step.message


def test_a_pod_on_its_way_is_no_trouble():
    """Pulling, initialising and running are nothing to report."""
    starting = pod(containerStatuses=[container(waiting={"reason": "PodInitializing"})])

    assert trouble([starting, pod(containerStatuses=[container(running={})])]) is None


def test_the_last_words_of_a_failed_container_are_found():
    """The container that ended a pod is named with its exit code and message."""
    ended = container("pusher", terminated={"exitCode": 1, "message": "denied: no access"})

    assert failure([pod(initContainerStatuses=[ended])]) == (
        "container pusher exited with 1: denied: no access"
    )
