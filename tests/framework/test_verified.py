"""What was found to be as intended is remembered by version, and no longer than needed."""

from kaito.framework.verified import Verified
from kaito.kube.objects import record_of


def meta(uid="u", version="1"):
    metadata = {"name": "x", "uid": uid, "resourceVersion": version}
    return record_of({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}).meta


def test_only_the_very_version_and_intent_hold():
    """Another version may differ, and another intent may not be met."""
    verified = Verified()
    verified.note(meta(), "intent")

    assert verified.holds(meta(), "intent")
    assert not verified.holds(meta(version="2"), "intent")
    assert not verified.holds(meta(uid="namesake"), "intent")
    assert not verified.holds(meta(), "another intent")


def test_one_entry_an_object():
    """An earlier version does not come back."""
    verified = Verified()
    verified.note(meta(), "intent")
    verified.note(meta(version="2"), "intent")

    assert not verified.holds(meta(), "intent")


def test_it_does_not_grow_for_ever():
    """What was noted longest ago is forgotten first."""
    verified = Verified(limit=2)
    for uid in "abc":
        verified.note(meta(uid), "intent")

    assert [verified.holds(meta(uid), "intent") for uid in "abc"] == [False, True, True]
