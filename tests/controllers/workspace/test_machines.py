"""Which claims are made, and what is said about those that are not ready."""

from types import SimpleNamespace

from kaito.controllers.workspace.machines import claims_step, new_claim_names, nodes_step
from kaito.manifests.identity import claim_name
from tests.controllers.workspace.builders import READY_CLAIM, UID, claim, node, observed


def demand(nodes=1, gpus=1):
    """The two numbers that machines are judged by."""
    return SimpleNamespace(claims=nodes, gpus_per_node=gpus)


def test_names_follow_from_the_uid():
    """The same Workspace asks for the same names; they fit an AKS pool and differ by number."""
    names = [claim_name(UID, number) for number in range(3)]

    assert names == [claim_name(UID, number) for number in range(3)]
    assert len(set(names)) == 3
    assert all(len(name) == 12 and name.startswith("ws") and name.isalnum() for name in names)


def test_only_missing_claims_are_made():
    """Claims that are there count, whatever they are called."""
    there = observed(claims=(claim("ws47ab2512c"),))

    assert new_claim_names(there, demand()) == []
    assert len(new_claim_names(there, demand(nodes=2))) == 1
    assert new_claim_names(observed(), demand()) == [claim_name(UID, 0)]


def test_a_name_that_is_going_away_is_not_reused():
    """A claim being deleted does not count, and keeps its name until it is gone."""
    going = observed(claims=(claim(claim_name(UID, 0), deleting=True),))

    assert new_claim_names(going, demand()) == [claim_name(UID, 1)]


def test_the_clouds_words_reach_the_user():
    """The first condition of a claim that failed gives reason and message."""
    failed = claim(conditions=[("Launched", "Unknown", "QuotaExceeded", "0 of 24 vCPUs left")])

    step = claims_step(observed(claims=(failed,)), demand())

    assert (step.reason, step.done, step.trouble) == ("QuotaExceeded", False, True)
    assert "0 of 24 vCPUs left" in step.message


def test_karpenters_one_reason_for_all_refusals_gives_way_to_the_clouds_own():
    """The Workspace's reason is the stable one that the message begins with, told once."""
    words = "QuotaExceeded: 0 of 24 vCPUs left. Raise the quota."
    failed = claim(conditions=[("Launched", "Unknown", "LaunchFailed", words)])

    step = claims_step(observed(claims=(failed,)), demand())

    assert (step.reason, step.trouble) == ("QuotaExceeded", True)
    assert step.message.endswith(": 0 of 24 vCPUs left. Raise the quota.")
    assert "QuotaExceeded" not in step.message


def test_a_claim_on_its_way_is_no_trouble():
    """What every claim passes through is WaitingForNodes, not a reason of its own."""
    early = claim(conditions=[("Launched", "Unknown", "AwaitingReconciliation", "")])

    step = claims_step(observed(claims=(early,)), demand())

    assert (step.reason, step.trouble) == ("WaitingForNodes", False)


def test_a_node_without_gpus_is_named():
    """A ready node whose device plugin is missing is told apart from one that is not ready."""
    ready = claim(node="n", conditions=READY_CLAIM)

    bare = nodes_step(observed(claims=(ready,), nodes=(node("n", gpus=0),)), demand())
    down = nodes_step(observed(claims=(ready,), nodes=(node("n", ready=False),)), demand())
    fine = nodes_step(observed(claims=(ready,), nodes=(node("n"),)), demand())

    assert bare.reason == "NodePluginsNotReady"
    assert down.reason == "NodeNotReady"
    assert fine.done
