"""Reconcilers and sources that are none say so in words that lead to the cure."""

import pytest

from kaito.framework.controller import Controller
from kaito.framework.reconcile import Done
from kaito.framework.sources import for_object
from tests.framework.bench import WIDGETS, Bench


class Forgotten:
    """Like a base class whose method nobody wrote."""

    def reconcile(self, key):
        return Done()


async def missing_key():
    return Done()


async def two_keys(name, namespace):
    return Done()


async def nothing(key):
    """The `return` is forgotten."""


async def seconds(key):
    return 30


async def the_class(key):
    return Done


@pytest.mark.parametrize("wrong", [missing_key, two_keys])
def test_a_function_that_takes_no_key_is_refused_when_the_controller_is_made(wrong):
    """Not at the first event, nor once per key and retry."""
    with pytest.raises(TypeError, match=r"async def reconcile\(key\)"):
        Controller("widgets", wrong, [for_object(WIDGETS)])


@pytest.mark.parametrize("wrong", [for_object(WIDGETS), WIDGETS, [WIDGETS]])
def test_what_is_no_list_of_sources_is_refused_when_the_controller_is_made(wrong):
    """A source alone, a kind alone, a list of kinds."""
    with pytest.raises(TypeError, match=r"controller widgets needs a list of sources"):
        Controller("widgets", nothing, wrong)


async def test_a_namespace_that_is_no_tuple_is_refused(embedded_api):
    """Each of its letters would be watched as a namespace."""
    async with embedded_api() as api:
        manager = api.manager(api.transport())
        wrong = Controller("widgets", nothing, [for_object(WIDGETS, namespaces="default")])
        with pytest.raises(TypeError, match=r"namespaces is a tuple: \('default',\)"):
            manager.add(wrong)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (nothing, "reconcile must return Done() or Again(seconds), not None"),
        (seconds, "reconcile must return Done() or Again(seconds), not a value of type int"),
        (the_class, "reconcile must return Done() or Again(seconds), not a value of type type"),
        (
            Forgotten(),
            "reconcile must be `async def`: calling it gave a value of type Done",
        ),
    ],
    ids=["None", "a number", "the class", "a plain function"],
)
async def test_an_answer_that_is_none_is_an_error_that_names_the_right_ones(lines, wrong, told):
    """Taken for Done, a forgotten `return Again(30)` would be found out by its absence alone."""
    bench = Bench(wrong)
    async with bench.running():
        bench.want("a")
        await bench.clock.sleep(0.001)

    [line] = [line for line in lines if line["event"] == "reconcile failed"]
    assert str(line["exc_info"]) == told
    assert bench.value("controller_runtime_reconcile_panics_total") == 1
