"""The status as a pure function of what was observed and how far it has come."""

from datetime import UTC, datetime

from kaito.controllers.workspace.progress import Progress, done, stalled, troubled, waiting
from kaito.controllers.workspace.status import compare, conditions_of, desired
from tests.controllers.workspace.builders import observed, workspace

NOW = datetime(2026, 5, 1, tzinfo=UTC)
LATER = datetime(2026, 5, 2, tzinfo=UTC)


def by_type(progress, *, tuning=False):
    return {c.type: (c.status, c.reason) for c in conditions_of(progress, tuning=tuning)}


def test_the_deepest_cause_reaches_every_summary():
    """A quota that is used up is the reason of NodeClaimReady, ResourceReady and Ready."""
    found = by_type(Progress(claims=troubled("QuotaExceeded", "raise it")))

    assert found["NodeClaimReady"] == ("False", "QuotaExceeded")
    assert found["ResourceReady"] == ("False", "QuotaExceeded")
    assert found["Ready"] == ("False", "QuotaExceeded")
    assert found["WorkspaceSucceeded"] == ("False", "workspacePending")
    assert found["Reconciling"] == ("True", "QuotaExceeded")
    assert found["Stalled"] == ("False", "QuotaExceeded")


def test_a_refusal_stalls_and_shows_no_machine():
    """What only the user can mend is Stalled, and nothing is said about machines."""
    found = by_type(Progress(refused=stalled("OutputNotPushable", "edit two lines")), tuning=True)

    assert found["Stalled"] == ("True", "OutputNotPushable")
    assert found["Reconciling"] == ("False", "OutputNotPushable")
    assert found["WorkspaceSucceeded"] == ("False", "workspacePending")
    assert "NodeClaimReady" not in found


def test_everything_done_is_ready():
    """With all steps done every condition is in its good state, with upstream's reasons."""
    found = by_type(
        Progress(
            claims=done("NodeClaimsReady", ""),
            nodes=done("NodesReady", ""),
            workload=done("WorkspaceInferenceStatusSuccess", ""),
        )
    )

    assert found == {
        "NodeClaimReady": ("True", "NodeClaimsReady"),
        "NodesReady": ("True", "NodesReady"),
        "ResourceReady": ("True", "workspaceResourceStatusSuccess"),
        "InferenceReady": ("True", "WorkspaceInferenceStatusSuccess"),
        "WorkspaceSucceeded": ("True", "workspaceSucceeded"),
        "Ready": ("True", "Ready"),
        "Reconciling": ("False", "Ready"),
        "Stalled": ("False", "Ready"),
    }


def test_a_served_adapter_is_inference_ready():
    """A tuning Workspace whose adapter is served shows JobStarted and InferenceReady."""
    found = by_type(
        Progress(
            claims=done("NodeClaimsReady", ""),
            nodes=done("NodesReady", ""),
            workload=done("WorkspaceTuningJobStatusStarted", ""),
            job_started=True,
            served=done("WorkspaceInferenceStatusSuccess", ""),
        ),
        tuning=True,
    )

    assert found["JobStarted"] == ("True", "WorkspaceTuningJobStatusStarted")
    assert found["InferenceReady"] == ("True", "WorkspaceInferenceStatusSuccess")
    assert found["WorkspaceSucceeded"] == ("True", "workspaceSucceeded")


def test_a_failed_training_is_failed():
    """A tuning Job that failed for good is WorkspaceSucceeded=False, reason workspaceFailed."""
    progress = Progress(
        claims=done("NodeClaimsReady", ""),
        nodes=done("NodesReady", ""),
        workload=stalled("TuningFailed", "container w exited with 1"),
        job_started=True,
    )

    found = by_type(progress, tuning=True)
    status = desired(observed(workspace(tuning=True)), progress, NOW)

    assert found["JobStarted"] == ("False", "WorkspaceTuningJobStatusFailed")
    assert found["WorkspaceSucceeded"] == ("False", "workspaceFailed")
    assert status["state"] == "Failed"


def test_nothing_new_is_nothing_to_write():
    """The same progress at a later time gives the same status: no write."""
    progress = Progress(claims=waiting("WaitingForNodes", "1 machine"))
    first = desired(observed(), progress, NOW)

    again = observed(workspace(status=first))

    assert compare(again, desired(again, progress, LATER)) is None


def test_a_message_alone_is_not_urgent():
    """When only a message differs the change is found, but may wait."""
    first = desired(observed(), Progress(claims=waiting("WaitingForNodes", "0 of 1")), NOW)
    again = observed(workspace(status=first))

    progressed = Progress(claims=waiting("WaitingForNodes", "1 of 1"))
    change = compare(again, desired(again, progressed, LATER))

    assert change is not None
    assert not change.urgent


def test_a_reason_is_urgent_and_keeps_the_transition_time():
    """A new reason is written at once; lastTransitionTime moves only with the status."""
    first = desired(observed(), Progress(claims=waiting("WaitingForNodes", "")), NOW)
    again = observed(workspace(status=first))

    change = compare(
        again, desired(again, Progress(claims=troubled("QuotaExceeded", "full")), LATER)
    )

    assert change is not None
    assert change.urgent
    times = {c["type"]: c["lastTransitionTime"] for c in change.status["conditions"]}
    assert times["Ready"] == "2026-05-01T00:00:00Z"


def test_losing_readiness_is_not_ready_rather_than_pending():
    """A Workspace that served once and does not now is NotReady."""
    was = observed(workspace(status={"state": "Ready"}))
    progress = Progress(
        claims=done("NodeClaimsReady", ""), nodes=waiting("NodeNotReady", "node gone")
    )

    assert desired(was, progress, NOW)["state"] == "NotReady"
