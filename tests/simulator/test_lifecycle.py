"""A pod's life on a node, played by pure stages."""

import gc
import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from kaito.kube.clock import LoopClock, rfc3339
from kaito.kube.objects import Json
from kaito.simulator.engine import Engine
from kaito.simulator.images import Registries
from kaito.simulator.nodes.lifecycle import Play, Step, advance, begin
from kaito.simulator.nodes.moment import Crash, Note, Surroundings
from kaito.simulator.nodes.options import NodeOptions
from kaito.simulator.nodes.report import status_of
from tests.simulator.pods import VLLM, container, pod, shell

HEALTH = {"httpGet": {"path": "/health", "port": 5000}}


class Kubelet:
    """Plays one pod by jumping from one time it asks for to the next."""

    def __init__(self, made: Json, **around: Any) -> None:
        self.now = 0.0
        self.engine = Engine(LoopClock())
        self.images: set[str] = set()
        self.registries = Registries()
        self.notes: list[tuple[float, Note]] = []
        self.lines: list[str] = []
        self.around = around
        self.play = begin(made, address="10.244.0.5", host="10.224.0.4", now=0.0)

    def surroundings(self) -> Surroundings:
        return Surroundings(
            now=self.now,
            options=NodeOptions(),
            engine=self.engine,
            registries=self.registries,
            cached=self.images.__contains__,
            **self.around,
        )

    def look(self) -> Step:
        step = advance(self.play, self.surroundings())
        self.play = step.play
        self.notes += [(self.now, note) for note in step.notes]
        self.lines += [line for _, line in step.lines]
        self.images |= set(step.pulled)
        for image, model in step.pushed:
            self.registries.store(image, model)
        return step

    def run(self, until: float = 3600.0) -> "Kubelet":
        while True:
            step = self.look()
            if step.wake > until:
                self.now = max(self.now, until if step.wake < float("inf") else self.now)
                return self
            self.now = step.wake

    @property
    def status(self) -> Json:
        return status_of(self.play, self.now, _stamp)

    def state(self, name: str = "main") -> Json:
        every = self.status["containerStatuses"] + self.status.get("initContainerStatuses", [])
        found: Json = next(one for one in every if one["name"] == name)
        return found

    def reasons(self) -> list[str]:
        return [note.reason for _, note in self.notes]

    def condition(self, name: str) -> Json:
        found: Json = next(c for c in self.status["conditions"] if c["type"] == name)
        return found


def _stamp(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))


def _ready(play: Play) -> bool:
    return all(one.ready for one in play.containers if one.kind == "main")


def test_a_server_becomes_ready_when_its_engine_answers():
    """Pull, create, start, load, and only then Ready; each step leaves its event."""
    made = pod(shell(VLLM, startupProbe={**HEALTH, "failureThreshold": 60}, readinessProbe=HEALTH))
    kubelet = Kubelet(made).run()

    assert kubelet.status["phase"] == "Running"
    assert kubelet.condition("Ready")["status"] == "True"
    assert kubelet.reasons() == ["Pulling", "Pulled", "Created", "Started", "Unhealthy"]
    one = kubelet.play.containers[0]
    loading = kubelet.engine.loading_seconds(one.program)
    # Probes tick every 10 s, so readiness is seen at the first tick after the engine answers.
    assert one.started_at + loading <= one.up_since < one.started_at + loading + 10
    assert kubelet.status["podIP"] == "10.244.0.5"


def test_the_benchmark_probe_takes_its_time_and_leaves_its_result():
    """A startup probe that runs the benchmark succeeds a minute after /health, with log lines."""
    benchmark = {
        "exec": {"command": ["python3", "/workspace/vllm/benchmark_entrypoint.py"]},
        "failureThreshold": 180,
    }
    kubelet = Kubelet(pod(shell(VLLM, startupProbe=benchmark, readinessProbe=HEALTH))).run()

    one = kubelet.play.containers[0]
    assert one.ready
    assert one.up_since >= one.started_at + kubelet.engine.loading_seconds(one.program) + 60
    assert [line.split()[0] for line in kubelet.lines if line.startswith("KAITO")] == [
        "KAITO_BENCHMARK_CONFIG", "KAITO_BENCHMARK_RESULT",
    ]  # fmt: skip


def test_before_it_runs_a_pod_says_what_it_waits_for():
    """ContainerCreating while pulling; unready containers are named in the conditions."""
    kubelet = Kubelet(pod()).run(until=1.0)

    assert kubelet.status["phase"] == "Pending"
    assert kubelet.state()["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert kubelet.condition("Ready")["message"] == "containers with unready status: [main]"
    assert kubelet.condition("PodScheduled")["status"] == "True"


def test_an_image_on_the_node_is_not_pulled_again():
    """The second pod of an image on a node starts without a pull."""
    kubelet = Kubelet(pod())
    kubelet.images = {"mcr.microsoft.com/aks/kaito/kaito-base:0.5.0"}
    kubelet.run()

    assert kubelet.reasons() == ["Pulled", "Created", "Started"]


@pytest.mark.parametrize(
    ("image", "reason", "word"),
    [
        ("registry.example/x:1", "ImagePullBackOff", "no such host"),
        ("mcr.microsoft.com/UPPER/x:1", "InvalidImageName", "must be lowercase"),
    ],
)
def test_an_image_that_cannot_be_pulled(image: str, reason: str, word: str):
    """The pod stays Pending with a kubelet's reason, and the cause is in the message."""
    kubelet = Kubelet(pod(container(image=image))).run(until=30.0)

    waiting = kubelet.state()["state"]["waiting"]
    assert waiting["reason"] == reason
    assert word in waiting["message"]
    assert kubelet.status["phase"] == "Pending"


def test_pulls_are_tried_again_ever_more_slowly():
    """After a failed pull the next tries come after 10 s, 20 s, 40 s ... and at most 300 s."""
    kubelet = Kubelet(pod(container(image="registry.example/x:1"))).run(until=3000.0)

    tries = [at for at, note in kubelet.notes if note.reason == "Pulling"]
    gaps = [round(b - a - 1) for a, b in itertools.pairwise(tries)]
    assert gaps[:6] == [10, 20, 40, 80, 160, 300]


def test_an_image_that_appears_ends_the_backoff():
    """A pull that failed because the tag was missing succeeds once it exists."""
    kubelet = Kubelet(pod())
    kubelet.registries.missing = {"mcr.microsoft.com/aks/kaito/kaito-base:0.5.0"}
    kubelet.run(until=30.0)
    assert "not found" in kubelet.state()["state"]["waiting"]["message"]

    kubelet.registries.missing.clear()

    assert kubelet.run().status["phase"] == "Running"


def test_init_containers_run_one_by_one():
    """The second init container starts after the first has succeeded, the main one after both."""
    first = container("first", command=["sleep", "5"])
    second = container("second", command=["sleep", "7"])
    kubelet = Kubelet(pod(container(), initContainers=[first, second]))
    kubelet.run(until=2.0)
    waiting = kubelet.condition("Initialized")
    assert waiting["message"] == "containers with incomplete status: [first second]"
    assert kubelet.state("main")["state"]["waiting"]["reason"] == "PodInitializing"

    kubelet.run()

    runs = {one.name: one.started_at for one in kubelet.play.containers}
    assert runs["first"] + 5 <= runs["second"]
    assert runs["second"] + 7 <= runs["main"]
    assert kubelet.condition("Initialized")["status"] == "True"


def test_a_failing_container_is_restarted_with_backoff():
    """At once, then after 10 s, 20 s, 40 s ...; in between the pod is in CrashLoopBackOff."""
    kubelet = Kubelet(pod(shell("sleep 1; exit 3"))).run(until=600.0)

    starts = [at for at, note in kubelet.notes if note.reason == "Started"]
    gaps = [round(b - a) for a, b in itertools.pairwise(starts)]
    assert gaps[:5] == [2, 12, 22, 42, 82]  # 1 s of running, 0.5 s to create
    state = kubelet.state()
    assert state["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert (
        "restarting failed container=main pod=w-0_default(uid-of-w-0)"
        in (state["state"]["waiting"]["message"])
    )
    assert state["lastState"]["terminated"]["exitCode"] == 3
    assert state["restartCount"] >= 5


@pytest.mark.parametrize(("policy", "code", "phase"), [
    ("Never", 0, "Succeeded"), ("Never", 1, "Failed"), ("OnFailure", 0, "Succeeded"),
])  # fmt: skip
def test_a_task_ends(policy: str, code: int, phase: str):
    """A pod that is not restarted ends as its containers end, and is not ready any more."""
    kubelet = Kubelet(pod(shell(f"exit {code}"), restartPolicy=policy)).run()

    assert kubelet.status["phase"] == phase
    assert kubelet.state()["state"]["terminated"]["exitCode"] == code
    reason = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}[phase]
    assert kubelet.condition("Ready")["reason"] == reason


def test_a_failed_init_container_fails_a_pod_that_is_not_restarted():
    """With restartPolicy Never the first failure of an init container ends the pod."""
    kubelet = Kubelet(
        pod(container(), initContainers=[shell("exit 1", "first")], restartPolicy="Never")
    ).run()

    assert kubelet.status["phase"] == "Failed"
    assert kubelet.state("main")["state"]["waiting"]["reason"] == "PodInitializing"


def test_a_sidecar_ends_after_the_last_task():
    """An init container that restarts always runs beside the others and ends with them."""
    sidecar = container("proxy", restartPolicy="Always")
    kubelet = Kubelet(pod(shell("sleep 5"), initContainers=[sidecar], restartPolicy="Never")).run()

    assert kubelet.status["phase"] == "Succeeded"
    assert "terminated" in kubelet.state("proxy")["state"]


def _pusher(**fields: Any) -> Json:
    env = [{"name": "IMAGE", "value": "acr.azurecr.io/adapter:0.0.1"}]
    return shell("oras push $IMAGE layer", "pusher", image="ghcr.io/oras/oras:1", env=env, **fields)


def test_a_tuning_pod_trains_and_pushes():
    """Weights, data, training one after the other, then the push; the registry has the image."""
    made = pod(
        _pusher(),
        initContainers=[
            container("weights", command=["oras", "pull", "mcr.microsoft.com/a/b:1"]),
            shell("python3 fine_tuning.py", "train"),
        ],
        restartPolicy="Never",
    )
    kubelet = Kubelet(made, credentials=frozenset({"acr.azurecr.io"})).run()

    assert kubelet.status["phase"] == "Succeeded"
    assert list(kubelet.registries.pushed) == ["acr.azurecr.io/adapter:0.0.1"]
    assert kubelet.now >= NodeOptions().train


def test_a_push_without_credentials_fails():
    """The pusher's log says 401, the pod fails, and its status has the last words."""
    pusher = _pusher(terminationMessagePolicy="FallbackToLogsOnError")
    kubelet = Kubelet(pod(pusher, restartPolicy="Never")).run()

    assert kubelet.status["phase"] == "Failed"
    assert any("401" in line for line in kubelet.lines)
    assert "401" in kubelet.state("pusher")["state"]["terminated"]["message"]
    assert not kubelet.registries.pushed


def test_the_old_tuning_pod_ends_too():
    """Training, a pusher that polls for its result, and a pause that lives until the push."""
    script = "IMG_REF='acr.azurecr.io/a:1'\nSENTINEL_PATH=/x\noras cp a b"
    made = pod(
        shell("accelerate launch fine_tuning.py", "train"),
        shell(script, "pusher"),
        container("pause", image="registry.k8s.io/pause:latest"),
        restartPolicy="Never",
    )
    kubelet = Kubelet(made, credentials=frozenset({"acr.azurecr.io"})).run()

    assert kubelet.status["phase"] == "Succeeded"


def test_a_missing_mount_holds_the_pod_back():
    """The pod stays in ContainerCreating, FailedMount names what is missing, later it goes on."""
    kubelet = Kubelet(pod(), missing=(("config", 'configmap "params" not found'),))
    kubelet.run(until=60.0)

    assert kubelet.state()["state"]["waiting"]["reason"] == "ContainerCreating"
    assert set(kubelet.reasons()) == {"FailedMount"}
    assert kubelet.notes[0][1].message == (
        'MountVolume.SetUp failed for volume "config" : configmap "params" not found'
    )
    assert len(kubelet.notes) <= 6
    kubelet.around = {}
    assert kubelet.run().status["phase"] == "Running"


def test_a_deleted_pod_stops_within_its_grace_period():
    """Containers are told to stop, end, and only then may the object be removed."""
    kubelet = Kubelet(pod(shell(VLLM))).run()
    metadata = {
        **kubelet.play.pod["metadata"],
        "deletionTimestamp": "2026-01-01T01:00:30Z",
        "deletionGracePeriodSeconds": 30,
    }
    kubelet.play = replace(kubelet.play, pod={**kubelet.play.pod, "metadata": metadata})

    kubelet.look()
    assert not kubelet.play.gone
    assert kubelet.reasons()[-1] == "Killing"
    kubelet.run()

    assert kubelet.play.gone
    assert kubelet.state()["state"]["terminated"]["exitCode"] == 0
    assert kubelet.status["phase"] == "Succeeded"


def test_a_sick_engine_makes_the_pod_unready_and_then_restarts_it():
    """Readiness goes first; after three failures of liveness the container is restarted."""
    kubelet = Kubelet(pod(shell(VLLM, readinessProbe=HEALTH, livenessProbe=HEALTH))).run()
    uid = kubelet.play.pod["metadata"]["uid"]
    kubelet.engine.infect(uid)

    kubelet.run(until=kubelet.now + 40)

    assert not _ready(kubelet.play)
    assert "Unhealthy" in kubelet.reasons()
    assert "Container main failed liveness probe, will be restarted" in [
        note.message for _, note in kubelet.notes
    ]
    kubelet.engine.cure(uid)
    kubelet.run()
    assert _ready(kubelet.play)
    assert kubelet.state()["restartCount"] == 1


def test_an_engine_that_never_answers_is_restarted_by_its_startup_probe():
    """When the startup probe gives up, the container is killed and starts again."""
    made = pod(shell(VLLM, startupProbe={**HEALTH, "periodSeconds": 1, "failureThreshold": 5}))
    kubelet = Kubelet(made).run(until=200.0)

    assert "Container main failed startup probe, will be restarted" in [
        note.message for _, note in kubelet.notes
    ]
    assert kubelet.state()["restartCount"] >= 1


def test_a_fault_ends_a_container():
    """A container can be made to fail from outside, with a code and after a time."""
    kubelet = Kubelet(pod(shell(VLLM)), crash=lambda _pod, _name: Crash(code=137, after=30.0))
    kubelet.run(until=150.0)

    assert kubelet.state()["lastState"]["terminated"]["exitCode"] == 137


def test_a_converged_pod_wants_nothing_more():
    """Once Ready, no timer is left: ten thousand pods at rest cost nothing."""
    kubelet = Kubelet(pod(shell(VLLM, readinessProbe=HEALTH, livenessProbe=HEALTH))).run()

    assert kubelet.look().wake == float("inf")
    assert kubelet.look() == Step(play=kubelet.play)


def test_a_pod_in_play_is_nothing_to_the_garbage_collector():
    """A kubelet of ten thousand pods holds, for each, values that the collector does not walk, and
    one specification of a container for all pods of a template."""
    tokens = [[{"name": f"kube-api-access-{end}", "mountPath": "/var/run"}] for end in "ab"]
    one, other = (Kubelet(pod(container(volumeMounts=mounts))).run() for mounts in tokens)

    assert not gc.is_tracked(one.play)
    assert not any(map(gc.is_tracked, one.play.containers))
    assert one.play.containers[0].spec is other.play.containers[0].spec
