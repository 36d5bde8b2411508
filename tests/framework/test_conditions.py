"""Merging conditions into a status."""

from datetime import UTC, datetime

from kaito.framework.conditions import (
    Condition,
    condition,
    find_condition,
    parse_condition,
    set_conditions,
)

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
BEFORE = "2026-01-01T00:00:00Z"


def entry(type_, status="True", reason="Fine", **more):
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": BEFORE,
        **more,
    }


def test_the_transition_time_moves_only_with_the_status():
    """Another reason or message keeps lastTransitionTime; another status sets it to now."""
    existing = [entry("A"), entry("B")]

    merged = set_conditions(
        existing,
        [
            Condition(type="A", status="True", reason="Better", message="so"),
            Condition(type="B", status="False", reason="Broken"),
        ],
        NOW,
    )

    assert merged == [
        entry("A", reason="Better", message="so"),
        entry("B", "False", "Broken", lastTransitionTime="2026-05-06T07:08:09Z"),
    ]
    assert existing == [entry("A"), entry("B")]


def test_order_is_stable_and_strangers_conditions_are_kept():
    """Known types keep their place, unknown ones stay, new ones follow in the order given."""
    merged = set_conditions(
        [entry("Stranger"), entry("A")],
        [
            Condition(type="Z", status="True", reason="New", observed_generation=3),
            Condition(type="A", status="True", reason="Fine"),
        ],
        NOW,
    )

    assert [condition["type"] for condition in merged] == ["Stranger", "A", "Z"]
    assert merged[2]["observedGeneration"] == 3
    assert merged[:2] == [entry("Stranger"), entry("A")]


def test_setting_what_is_there_changes_nothing():
    """So that a converged status is equal to itself and needs no write."""
    existing = set_conditions([], [Condition(type="A", status="True", reason="Fine")], NOW)

    later = NOW.replace(year=2027)

    assert set_conditions(existing, [parse_condition(existing[0])], later) == existing


def test_a_condition_holds_does_not_hold_or_is_not_known():
    """The short form for the three answers to one question."""
    for holds, status in ((True, "True"), (False, "False"), (None, "Unknown")):
        expected = Condition(type="Ready", status=status, reason="Why", message="so")
        assert condition("Ready", holds, "Why", "so") == expected


def test_finding_a_condition_is_lenient():
    """An entry without a time or with a strange status is read as Unknown, not refused."""
    found = find_condition([{"type": "A", "status": "maybe"}], "A")

    assert found == Condition(type="A", status="Unknown", reason="")
    assert find_condition([entry("A"), entry("B", reason="Mine")], "B").reason == "Mine"
    assert find_condition(None, "A") is None
