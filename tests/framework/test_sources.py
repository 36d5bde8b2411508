"""From events to keys."""

import pytest

from kaito.framework import predicates
from kaito.framework.events import Added, Deleted, Updated
from kaito.framework.sources import at_start, for_object, mapped, owned_by, reads
from kaito.framework.workqueue import LOW_PRIORITY
from kaito.kube.objects import ObjectKey, Resource
from tests.framework.bench import PARTS, WIDGETS, ToldInformers, key, widget

NODES = Resource("", "v1", "nodes", "Node", namespaced=False)


def wanted_by(source, *events):
    """The (key, priority) pairs that these events enqueue."""
    informers, wanted = ToldInformers(), []
    source.declare(informers)
    source.start(informers, lambda name, priority: wanted.append((name, priority)))
    for informer in informers.made.values():
        informer.tell(*events)
    return wanted


def owned(name, owner, *, api_version="example.org/v1", kind="Widget", controller=True):
    reference = {
        "apiVersion": api_version,
        "kind": kind,
        "name": owner,
        "uid": "u",
        "controller": controller,
    }
    return widget(name, kind="Part", ownerReferences=[reference])


def test_the_object_itself_is_the_key_in_every_event():
    """Added, updated and deleted (tombstones too) want the object's own key, news first."""
    wanted = wanted_by(
        for_object(WIDGETS),
        Added(widget("a")),
        Updated(widget("b", version="1"), widget("b", version="2")),
        Deleted(widget("c"), tombstone=True),
    )

    assert wanted == [(key("a"), 0), (key("b"), 0), (key("c"), 0)]


def test_what_is_no_news_has_low_priority():
    """The initial list, and an update that repeats the same resourceVersion."""
    wanted = wanted_by(
        for_object(WIDGETS),
        Added(widget("a"), initial=True),
        Updated(widget("b"), widget("b")),
    )

    assert wanted == [(key("a"), LOW_PRIORITY), (key("b"), LOW_PRIORITY)]


def test_an_owned_object_wants_its_controller_whatever_its_version():
    """Only the reference with controller: true counts, compared by group and kind."""
    wanted = wanted_by(
        owned_by(PARTS, WIDGETS),
        Added(owned("p1", "w1")),
        Added(owned("p2", "w2", api_version="example.org/v1alpha1")),
        Added(owned("p3", "w3", controller=False)),
        Added(owned("p4", "w4", kind="Gadget")),
        Added(owned("p5", "w5", api_version="v1")),
        Added(owned("p6", "w6", api_version="other.org/v1")),
        Added(widget("p7")),
    )

    assert wanted == [(key("w1"), 0), (key("w2"), 0)]


def test_an_owner_without_a_namespace_is_wanted_by_its_bare_name():
    """A namespaced object may be controlled by a cluster-scoped one."""
    wanted = wanted_by(
        owned_by(PARTS, NODES), Added(owned("p", "node-1", api_version="v1", kind="Node"))
    )

    assert wanted == [(ObjectKey("", "node-1"), 0)]


def test_an_object_that_changes_hands_wants_both_owners_each_once():
    """The old owner must see that it lost the object; an unchanged owner is wanted once."""
    wanted = wanted_by(
        owned_by(PARTS, WIDGETS),
        Updated(owned("p", "before"), owned("p", "after")),
        Updated(owned("p", "same"), owned("p", "same")),
    )

    assert [name.name for name, _ in wanted] == ["before", "after", "same"]


def test_a_mapping_finds_any_number_of_keys():
    """The function sees old and new states and may find nothing."""
    wanted = wanted_by(
        mapped(
            PARTS, lambda record: [key(name) for name in record.meta.labels.get("for", "").split()]
        ),
        Added(widget("p", labels={"for": "a b"})),
        Updated(widget("p", labels={"for": "a"}), widget("p", labels={"for": "c"})),
        Added(widget("q")),
    )

    assert [name.name for name, _ in wanted] == ["a", "b", "a", "c"]


def test_keys_at_the_start_need_no_informer():
    """A self-requeueing loop begins with one key; nothing is watched for it."""
    informers, wanted = ToldInformers(), []
    source = at_start(key("loop"))
    source.declare(informers)

    feed = source.start(informers, lambda name, priority: wanted.append((name, priority)))

    assert (feed, informers.made) == (None, {})
    assert wanted == [(key("loop"), 0)]


SOURCES = {
    "for_object": for_object,
    "owned_by": lambda resource, **options: owned_by(resource, WIDGETS, **options),
    "mapped": lambda resource, **options: mapped(
        resource, lambda record: [record.meta.key], **options
    ),
    "reads": reads,
}


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_options_of_a_source_reach_the_informer(make):
    """Selectors and the like are the informer's business."""
    informers = ToldInformers()

    make(PARTS, label_selector="a=b").declare(informers)

    assert informers.made[PARTS].options == {"label_selector": "a=b"}


@pytest.mark.parametrize("kind", ["for_object", "owned_by", "mapped"])
def test_a_predicate_holds_back_events(kind):
    """What it refuses enqueues nothing."""
    only_b = wanted_by(
        SOURCES[kind](PARTS, predicate=lambda event: event.record.meta.name == "b"),
        Added(owned("a", "a")),
        Added(owned("b", "b")),
    )

    assert [name.name for name, _ in only_b] == ["b"]


def test_a_kind_that_is_only_read_wants_nothing():
    """Its changes are no reason to run."""
    assert wanted_by(reads(PARTS), Added(owned("a", "a"))) == []


CHANGES = {
    "generation": ({"generation": 1}, {"generation": 2}),
    "deletion": ({}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}),
    "labels": ({"labels": {"a": "1"}}, {"labels": {"a": "2"}}),
    "annotations": ({}, {"annotations": {"a": "1"}}),
    "finalizers": ({"finalizers": ["a"]}, {}),
    "owners": ({}, {"ownerReferences": [{"uid": "u"}]}),
    "version": ({}, {}),
}


@pytest.mark.parametrize(
    ("predicate", "passes"),
    [
        (predicates.generation_changed, {"generation", "deletion"}),
        (predicates.labels_changed, {"labels"}),
        (predicates.annotations_changed, {"annotations"}),
        (predicates.finalizers_changed, {"finalizers"}),
        (predicates.owners_changed, {"owners"}),
        (predicates.resource_version_changed, set(CHANGES)),
        (
            predicates.any_of(predicates.labels_changed, predicates.annotations_changed),
            {"labels", "annotations"},
        ),
        (predicates.all_of(predicates.labels_changed, predicates.annotations_changed), set()),
        (
            predicates.negate(predicates.generation_changed),
            set(CHANGES) - {"generation", "deletion"},
        ),
    ],
)
def test_predicates_pass_updates_by_what_changed(predicate, passes):
    """Each predicate passes exactly the updates it is named after."""
    passed = {
        change
        for change, (before, after) in CHANGES.items()
        if predicate(Updated(widget("a", version="1", **before), widget("a", version="2", **after)))
    }

    assert passed == passes


def test_predicates_never_hold_back_a_beginning_or_an_end():
    """Added and Deleted always pass: only an update can be no news."""
    for predicate in (predicates.generation_changed, predicates.labels_changed):
        assert predicate(Added(widget("a")))
        assert predicate(Deleted(widget("a")))
