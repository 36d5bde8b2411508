from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kaito.provisioner.cloud import (
    AllocationFailed,
    Busy,
    CloudError,
    Instance,
    QuotaExceeded,
    State,
    Taint,
    belongs_to,
    reason_told,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OURS = Instance(name="ws1", state=State.READY, owner_uid="uid-1", created_at=NOW)


def test_a_quota_error_names_family_region_and_the_limit_to_ask_for() -> None:
    """Who reads the message knows what to raise, where, and to what."""
    error = QuotaExceeded(
        "quota reached",
        family="standardNCADSA100v4Family",
        region="eastus",
        limit=24,
        usage=24,
        requested=24,
    )

    assert '"standardNCADSA100v4Family" in eastus to at least 48' in error.advice
    assert "Quotas" in error.advice


def test_a_quota_error_guesses_nothing_that_the_answer_did_not_say() -> None:
    """Absent facts are left out of the advice."""
    advice = QuotaExceeded("quota reached").advice

    assert "at least" not in advice
    assert " in eastus" not in advice


@pytest.mark.parametrize("error", [QuotaExceeded("a"), AllocationFailed("b."), Busy("c")])
def test_what_is_told_begins_with_the_stable_reason(error: CloudError) -> None:
    """Whoever copies the message can name the reason without understanding the rest."""
    assert reason_told(error.told) == error.reason
    assert ".." not in error.told


def test_other_messages_have_no_reason() -> None:
    """Text that nobody wrote through `told` is not mistaken for it."""
    assert reason_told("creating the machine") == ""
    assert reason_told("see https: it") == ""


def test_the_owner_tag_decides_alone_where_there_is_one() -> None:
    """A pool with another claim's UID is not ours, whatever else fits."""
    assert belongs_to(OURS, "uid-1", NOW + timedelta(hours=1))
    assert not belongs_to(OURS, "uid-2", NOW)


def test_without_a_tag_the_creation_time_of_the_claim_proves_it() -> None:
    """Pools of a former provisioner are adopted by their claim and by no other."""
    untagged = replace(OURS, owner_uid="")

    assert belongs_to(untagged, "uid-9", NOW)
    assert not belongs_to(untagged, "uid-9", NOW + timedelta(seconds=1))
    assert not belongs_to(replace(untagged, created_at=None), "uid-9", NOW)


def test_a_taint_is_written_as_kubectl_does() -> None:
    """Azure and kubectl read `key=value:effect`."""
    assert str(Taint(key="sku", value="gpu", effect="NoSchedule")) == "sku=gpu:NoSchedule"
