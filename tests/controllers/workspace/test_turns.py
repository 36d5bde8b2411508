"""Who may be updated now, and who comes first."""

from kaito.controllers.workspace.turns import Turns
from kaito.kube.objects import ObjectKey

A, B, C = (ObjectKey("default", name) for name in "abc")


def test_a_turn_is_kept_until_it_is_over():
    """Whoever has it may ask again; the others hear of whom they wait for."""
    turns = Turns(1)

    assert turns.ahead(A, []) == ()
    assert turns.ahead(A, []) == ()
    assert turns.ahead(B, []) == (A,)
    turns.over(A)
    assert turns.ahead(B, []) == ()


def test_those_that_an_earlier_operator_let_through_count():
    """Their status tells; the same one is not counted twice, and nobody waits for itself."""
    turns = Turns(2)

    assert turns.ahead(A, [B]) == ()
    assert turns.ahead(C, [A, B]) == (A, B)
    assert Turns(1).ahead(A, [A]) == ()


def test_the_end_of_a_turn_that_nobody_had_is_no_news():
    """Every Workspace that is Ready says so."""
    turns = Turns(1)
    turns.over(A)

    assert turns.ahead(B, []) == ()
