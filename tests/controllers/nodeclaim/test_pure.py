"""The parts that decide: drain waves, registration, readiness, requests, suspects."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kaito.controllers.nodeclaim import readiness
from kaito.controllers.nodeclaim.drain import Pod, next_step, pod_of, told
from kaito.controllers.nodeclaim.managed import is_managed
from kaito.controllers.nodeclaim.observe import Node, Observed, node_of, observed
from kaito.controllers.nodeclaim.options import NodeClaimOptions
from kaito.controllers.nodeclaim.orphans import suspects
from kaito.controllers.nodeclaim.registration import node_patch
from kaito.controllers.nodeclaim.repair import brake
from kaito.controllers.nodeclaim.request import machine_request
from kaito.kube.clock import rfc3339
from kaito.kube.objects import Json, record_of
from kaito.provisioner.cloud import ImageFamily, Instance, State
from tests.controllers.nodeclaim.world import A100, claim

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def seen(*nodes: Node, conditions: list[Json] | None = None, **changes: Any) -> Observed:
    obj = claim(**changes.pop("spec", {}))
    obj["metadata"] |= {"uid": "uid-1", "generation": 1, "creationTimestamp": rfc3339(NOW)}
    obj["metadata"] |= changes.pop("metadata", {})
    obj["status"] = {"conditions": conditions or [], **changes}
    return observed(record_of(obj), nodes, NOW)


def node(name: str = "n1", *, ready: str = "True", since: float = 0, **facts: Any) -> Node:
    spec = {"providerID": f"azure:///{name}", "taints": facts.pop("taints", [])}
    condition = {
        "type": "Ready",
        "status": ready,
        "lastTransitionTime": rfc3339(NOW - timedelta(seconds=since)),
    }
    status = {"conditions": [condition], "allocatable": facts.pop("allocatable", {})}
    status["capacity"] = status["allocatable"]
    return node_of(
        record_of(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "uid": f"uid-{name}", **facts},
                "spec": spec,
                "status": status,
            }
        )
    )


def launched(*others: str) -> list[Json]:
    return [{"type": kind, "status": "True", "reason": kind} for kind in ("Launched", *others)]


def told_by(view: Observed) -> dict[str, tuple[str, str]]:
    report = readiness.report(view, readiness.launched_before(view))
    return {c.type: (c.status, c.reason) for c in report.conditions}


class TestReadiness:
    def test_nothing_is_known_at_first(self) -> None:
        """All are Unknown, and Ready names what it waits for."""
        report = readiness.report(seen(), readiness.launched_before(seen()))

        assert {c.reason for c in report.conditions[:3]} == {"AwaitingReconciliation"}
        assert report.conditions[3].message == (
            "Launched=Unknown, Registered=Unknown, Initialized=Unknown"
        )

    def test_a_launched_machine_waits_for_its_node(self) -> None:
        """Karpenter's reason for it."""
        assert told_by(seen(conditions=launched()))["Registered"] == ("Unknown", "NodeNotFound")

    def test_two_nodes_of_one_machine_are_told(self) -> None:
        """Which of them is the claim's nobody can say."""
        told = told_by(seen(node("a"), node("b"), conditions=launched()))

        assert told["Registered"] == ("False", "MultipleNodesFound")
        assert told["Ready"] == ("False", "UnhealthyDependents")

    def test_of_two_nodes_the_known_one_is_the_claims(self) -> None:
        """A second Node appears while AKS renews the image of the first."""
        view = seen(
            node("a"), node("b"), conditions=launched("Registered"), providerID="azure:///b"
        )

        assert view.node is not None
        assert view.node.meta.name == "b"
        assert told_by(view)["Registered"] == ("True", "Registered")

    def test_a_node_without_provider_id_is_not_registered(self) -> None:
        """Its identity is not known yet."""
        anonymous = replace(node(), spec=replace_spec(node()))

        assert told_by(seen(anonymous, conditions=launched()))["Registered"][0] == "Unknown"

    @pytest.mark.parametrize(
        ("facts", "spec", "reason"),
        [
            ({"ready": "False"}, {}, "NodeNotReady"),
            (
                {"taints": [{"key": "boot", "effect": "NoSchedule"}]},
                {"startupTaints": [{"key": "boot", "effect": "NoSchedule"}]},
                "StartupTaintsExist",
            ),
            (
                {"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]},
                {},
                "KnownEphemeralTaintsExist",
            ),
            (
                {},
                {"resources": {"requests": {"storage": "1Gi", "nvidia.com/gpu": "1"}}},
                "ResourceNotRegistered",
            ),
        ],
    )
    def test_what_keeps_a_node_from_being_initialized(
        self, facts: Json, spec: Json, reason: str
    ) -> None:
        """The first of Karpenter's checks that fails names the reason."""
        told = told_by(seen(node(**facts), conditions=launched(), spec=spec))

        assert told["Initialized"] == ("Unknown", reason)

    def test_storage_is_no_resource_of_the_node(self) -> None:
        """It is the size of the disk."""
        assert told_by(seen(node(), conditions=launched()))["Ready"] == ("True", "Ready")

    def test_an_initialized_claim_stays_so_when_its_node_is_unready(self) -> None:
        """The Node tells that itself."""
        view = seen(node(ready="Unknown"), conditions=launched("Registered", "Initialized"))

        assert told_by(view)["Ready"] == ("True", "Ready")

    def test_but_not_when_its_node_is_gone(self) -> None:
        """A claim that promises a Node has to have one."""
        view = seen(conditions=launched("Registered", "Initialized"))

        assert told_by(view)["Registered"] == ("Unknown", "NodeNotFound")

    def test_gpus_are_counted_but_not_waited_for(self) -> None:
        """The device plugin comes later than Initialized."""
        assert readiness.gpus(node()) == 0
        assert readiness.gpus(node(allocatable={"nvidia.com/gpu": "4"})) == 4
        assert readiness.gpus(node(allocatable={"nvidia.com/gpu": "many"})) == 0


def replace_spec(before: Node) -> Any:
    return type(before.spec)(provider_id="", taints=before.spec.taints)


class TestRegistration:
    def test_a_new_node_gets_everything_at_once(self) -> None:
        """Finalizer, owner, labels, annotations and taints in one patch."""
        unregistered = {"key": "karpenter.sh/unregistered", "effect": "NoExecute"}
        view = seen(node(taints=[unregistered]), spec={"startupTaints": [{"key": "boot"}]})
        patch = node_patch(view, view.nodes[0], initialized=False)

        assert patch is not None
        assert patch["metadata"]["finalizers"] == ["karpenter.sh/termination"]
        assert patch["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
        assert patch["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] is True
        assert patch["metadata"]["labels"] == {
            "kaito.sh/workspace": "phi",
            "kaito.sh/workspacenamespace": "default",
            "karpenter.sh/nodepool": "kaito",
            "karpenter.sh/registered": "true",
        }
        assert patch["metadata"]["annotations"] == {"kaito.sh/node-image-family": "ubuntu"}
        assert [taint["key"] for taint in patch["spec"]["taints"]] == ["sku", "boot"]

    def test_other_finalizers_owners_and_taints_are_kept(self) -> None:
        """A merge patch replaces lists, so theirs are sent along."""
        theirs = {"apiVersion": "v1", "kind": "Thing", "name": "t", "uid": "u"}
        timed = {"key": "x", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}
        view = seen(node(finalizers=["a/b"], ownerReferences=[theirs], taints=[timed]))
        patch = node_patch(view, view.nodes[0], initialized=False)

        assert patch is not None
        assert patch["metadata"]["finalizers"] == ["a/b", "karpenter.sh/termination"]
        assert patch["metadata"]["ownerReferences"][0] == theirs
        assert patch["spec"]["taints"][0] == timed

    def test_a_registered_node_is_not_synchronised_again(self) -> None:
        """Labels and taints that somebody changed later stay as they made them."""
        view = seen(registered_node(taints=[]))

        assert node_patch(view, view.nodes[0], initialized=False) is None

    def test_initialized_is_one_more_label(self) -> None:
        """And nothing else."""
        view = seen(registered_node())

        assert node_patch(view, view.nodes[0], initialized=True) == {
            "metadata": {"labels": {"karpenter.sh/initialized": "true"}}
        }

    def test_taints_of_others_are_not_touched(self) -> None:
        """The Node says so with a label."""
        view = seen(node(labels={"karpenter.sh/do-not-sync-taints": "true"}))
        patch = node_patch(view, view.nodes[0], initialized=False)

        assert patch is not None
        assert "spec" not in patch

    def test_a_node_that_goes_is_left_alone(self) -> None:
        """The server takes no new finalizer for it."""
        view = seen(node(deletionTimestamp=rfc3339(NOW)))

        assert node_patch(view, view.nodes[0], initialized=True) is None


def registered_node(**facts: Any) -> Node:
    owner = {"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "name": "ws1", "uid": "uid-1"}
    return node(
        labels={"karpenter.sh/registered": "true"},
        finalizers=["karpenter.sh/termination"],
        ownerReferences=[owner],
        **facts,
    )


class TestRequest:
    def test_the_first_size_is_taken(self) -> None:
        """In the order of the claim, so the choice is the same every time."""
        requirement = {
            "key": "node.kubernetes.io/instance-type",
            "operator": "In",
            "values": ["Standard_NC6s_v3", A100],
        }
        asked = machine_request(seen(spec={"requirements": [requirement]}).claim, {})

        assert asked.vm_size == "Standard_NC6s_v3"

    @pytest.mark.parametrize(
        ("storage", "gib"), [("120Gi", 120), ("1500Mi", 1), ("512Mi", 0), ("200G", 186)]
    )
    def test_storage_is_whole_gibibytes(self, storage: str, gib: int) -> None:
        """Rounded down, as gpu-provisioner does."""
        resources = {"requests": {"storage": storage}}

        assert machine_request(seen(spec={"resources": resources}).claim, {}).os_disk_gib == gib

    def test_labels_of_kubernetes_are_not_sent(self) -> None:
        """AKS refuses them on pools; the Node gets them at registration."""
        labels = {"kubernetes.io/os": "linux", "node.kubernetes.io/x": "y", "mine": "z"}
        asked = machine_request(seen(metadata={"labels": labels}).claim, {})

        assert asked.labels == {"mine": "z", "karpenter.sh/nodepool": "kaito"}

    @pytest.mark.parametrize(
        ("text", "family"),
        [
            ("AzureLinux", ImageFamily.AZURE_LINUX),
            ("UBUNTU", ImageFamily.UBUNTU),
            ("windows", ImageFamily.UBUNTU),
        ],
    )
    def test_the_image_family_does_not_depend_on_case(self, text: str, family: ImageFamily) -> None:
        """What is not known is Ubuntu."""
        view = seen(metadata={"annotations": {"kaito.sh/node-image-family": text}})

        assert machine_request(view.claim, {}).image_family is family

    def test_managed_is_by_class_or_by_label(self) -> None:
        """Everything else belongs to somebody else."""
        foreign = {"nodeClassRef": {"group": "g", "kind": "k", "name": "n"}}

        assert is_managed(seen(metadata={"labels": {}}).claim)
        assert is_managed(seen(spec=foreign).claim)
        assert not is_managed(seen(spec=foreign, metadata={"labels": {}}).claim)


def pod(name: str, *, daemon: bool = False, **facts: Any) -> Pod:
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "u"}
    metadata = {"name": name, "namespace": "ns", **facts.pop("metadata", {})}
    if daemon:
        metadata["ownerReferences"] = [{**owner, "controller": True}]
    status = {"phase": facts.pop("phase", "Running")}
    return pod_of(record_of({"kind": "Pod", "metadata": metadata, "spec": facts, "status": status}))


CRITICAL = {"priorityClassName": "system-node-critical"}


class TestDrain:
    def test_waves_leave_one_after_the_other(self) -> None:
        """Ordinary pods, their DaemonSets, critical ones, their DaemonSets."""
        waves = [
            pod("a"),
            pod("b", daemon=True),
            pod("c", **CRITICAL),
            pod("d", daemon=True, **CRITICAL),
        ]
        left: list[list[str]] = []
        while waves:
            step = next_step(waves, NOW, None)
            left.append([each.meta.name for each in step.evict])
            waves = [each for each in waves if each not in step.evict]

        assert left == [["a"], ["b"], ["c"], ["d"]]

    def test_a_wave_waits_for_pods_that_are_still_going(self) -> None:
        """Nothing of the next one is asked to leave before."""
        going = pod("a", metadata={"deletionTimestamp": rfc3339(NOW + timedelta(seconds=30))})

        assert next_step([going, pod("b", daemon=True)], NOW, None).evict == ()

    @pytest.mark.parametrize(
        "ignored",
        [
            pod("x", phase="Succeeded"),
            pod("x", phase="Failed"),
            pod("x", metadata={"annotations": {"kubernetes.io/config.mirror": "1"}}),
            pod("x", tolerations=[{"operator": "Exists"}]),
            pod("x", tolerations=[{"key": "karpenter.sh/disrupted", "operator": "Exists"}]),
            pod("x", metadata={"deletionTimestamp": rfc3339(NOW - timedelta(minutes=2))}),
        ],
    )
    def test_who_is_not_waited_for(self, ignored: Pod) -> None:
        """With only such pods the Node is drained."""
        assert next_step([ignored], NOW, None).waiting == ()

    def test_a_toleration_of_something_else_does_not_count(self) -> None:
        """A pod that tolerates the GPU's taint has to leave all the same."""
        gpu = pod("x", tolerations=[{"key": "sku", "operator": "Exists", "effect": "NoSchedule"}])

        assert next_step([gpu], NOW, None).evict == (gpu,)

    def test_near_the_deadline_pods_are_deleted(self) -> None:
        """Early enough that their own grace period fits."""
        slow = pod("slow", terminationGracePeriodSeconds=60)
        protected = pod("p", metadata={"annotations": {"karpenter.sh/do-not-disrupt": "true"}})
        step = next_step([slow, protected], NOW, NOW + timedelta(seconds=50))

        assert step.delete == (slow,)
        assert step.evict == ()
        assert step.waiting == (slow, protected)

    def test_the_wait_is_told_in_one_line(self) -> None:
        """At most five names."""
        line = told([pod(f"p{number}") for number in range(7)])

        assert line.endswith("ns/p0, ns/p1, ns/p2, ns/p3, ns/p4 and 2 more")


class TestSuspects:
    def machine(self, **facts: Any) -> Instance:
        known: dict[str, Any] = {
            "name": "ws1",
            "state": State.READY,
            "owner_uid": "uid-9",
            "created_at": NOW - timedelta(hours=1),
        }
        return Instance(**{**known, **facts})

    def found(self, machines: list[Instance], *views: Observed) -> tuple[set[str], set[str]]:
        suspicion = suspects(machines, [view.claim for view in views], NOW, timedelta(seconds=600))
        return set(suspicion.orphans), set(suspicion.forsaken)

    def test_a_machine_of_ours_without_its_claim_is_an_orphan(self) -> None:
        """Also where another claim has taken its name."""
        assert self.found([self.machine()]) == ({"uid-9"}, set())
        assert self.found([self.machine()], seen()) == ({"uid-9"}, set())

    @pytest.mark.parametrize(
        "facts",
        [
            {"owner_uid": ""},
            {"created_at": None},
            {"created_at": NOW - timedelta(seconds=500)},
            {"state": State.DELETING},
            {"state": State.STOPPED},
            {"owner_uid": "uid-1"},
        ],
    )
    def test_what_is_no_orphan(self, facts: Json) -> None:
        """Not ours, too young, going already, stopped, or with its claim."""
        assert self.found([self.machine(**facts)], seen()) == (set(), set())

    def test_a_launched_claim_without_a_machine_is_forsaken(self) -> None:
        """But not one that was never launched, that goes, or whose machine is only stopped."""
        view = seen(conditions=launched())
        going = seen(conditions=launched(), metadata={"deletionTimestamp": rfc3339(NOW)})

        assert self.found([], view) == (set(), {"uid-1"})
        assert self.found([], seen()) == (set(), set())
        assert self.found([], going) == (set(), set())
        stopped = self.machine(owner_uid="uid-1", state=State.STOPPED)
        assert self.found([stopped], view) == (set(), set())


def test_the_brake_lets_one_pass_and_holds_many() -> None:
    """A fifth of all Nodes, and always one."""
    options = NodeClaimOptions()
    fine, broken = node(), node(ready="Unknown", since=700)

    assert brake([broken], NOW, options) == ""
    assert brake([broken] * 2 + [fine] * 8, NOW, options) == ""
    assert "3 of 10" in brake([broken] * 3 + [fine] * 7, NOW, options)
    assert "2 of 2" in brake([broken] * 2, NOW, options)
    assert brake([node(ready="Unknown", since=500)] * 5, NOW, options) == ""
