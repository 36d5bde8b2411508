"""Label and field selectors: what they select, how they print, and how they are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaito.kube.selectors import FieldSelector, InvalidSelector, LabelSelector

LABELS = {"app": "web", "tier": "front", "replicas": "3", "empty": ""}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app=db", False),
        ("app!=db", True),
        ("app!=web", False),
        ("missing!=x", True),
        ("app in (db,web)", True),
        ("app in (db)", False),
        ("app notin (db)", True),
        ("missing notin (x)", True),
        ("app", True),
        ("missing", False),
        ("!missing", True),
        ("!app", False),
        ("empty=", True),
        ("missing=", False),
        ("empty in ()", True),
        ("app=web,tier=front", True),
        ("app=web,tier=back", False),
        ("replicas>2", True),
        ("replicas<3", False),
        ("app>1", False),
        ("missing<1", False),
    ],
)
def test_a_label_selector_selects_as_the_server_does(selector, expected):
    """Every operator, with and without the label, alone and combined."""
    assert LabelSelector.parse(selector).matches(LABELS) is expected


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        (" b = 1 , a ", "a,b=1"),
        ("x in (c,a,,b)", "x in (,a,b,c)"),
        ("x notin (a)", "x notin (a)"),
        ("!x", "!x"),
        ("x==1", "x==1"),
        ("x>1,y<2", "x>1,y<2"),
        ("in in (in,notin)", "in in (in,notin)"),
        ("x in ()", "x in ()"),
    ],
)
def test_a_label_selector_prints_in_the_servers_order(text, printed):
    """Terms are sorted by key and members by value, as the server's own text form is."""
    assert str(LabelSelector.parse(text)) == printed


NAME = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
    "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        (
            "a b",
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a==)", "unable to parse requirement: found ')', expected: identifier"),
        ("-a", f'unable to parse requirement: <nil>: Invalid value: "-a": {NAME}'),
        ("a=b/c", f'unable to parse requirement: values[0][a]: Invalid value: "b/c": {VALUE}'),
        (
            "a>b",
            (
                'unable to parse requirement: values[0]: Invalid value: "b": '
                "for 'Gt', 'Lt' operators, the value must be an integer"
            ),
        ),
    ],
)
def test_a_bad_label_selector_is_refused_in_the_servers_words(text, message):
    """Whoever knows kubectl's messages knows ours."""
    with pytest.raises(InvalidSelector) as caught:
        LabelSelector.parse(text)

    assert str(caught.value) == message


def test_a_structured_selector_selects_like_its_text():
    """matchLabels and matchExpressions mean what the text form means."""
    selector = LabelSelector.of(
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["front", "back"]},
                {"key": "legacy", "operator": "DoesNotExist"},
            ],
        }
    )

    assert str(selector) == "app=web,!legacy,tier in (back,front)"
    assert selector.matches(LABELS)
    assert not selector.matches(LABELS | {"legacy": "1"})


def test_no_selector_selects_nothing_and_an_empty_one_everything():
    """The difference between an absent and an empty metav1.LabelSelector."""
    assert not LabelSelector.of(None).matches(LABELS)
    assert not LabelSelector.of(None).matches({})
    assert LabelSelector.of({}).matches(LABELS)
    assert LabelSelector.of({}) != LabelSelector.of(None)


def test_every_operator_of_a_structured_selector_has_its_meaning():
    """In, NotIn, Exists, DoesNotExist."""
    for operator, values, expected in [
        ("In", ["web"], True),
        ("NotIn", ["web"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
    ]:
        expression = {"key": "app", "operator": operator, "values": values}
        selector = LabelSelector.of({"matchExpressions": [expression]})
        assert selector.matches(LABELS) is expected, operator


def test_selectors_are_values():
    """Equal by what they select, so that one cache serves whoever asks for the same."""
    assert LabelSelector.parse("a=1,b") == LabelSelector.parse("b,a=1")
    assert hash(LabelSelector.parse("a=1,b")) == hash(LabelSelector.parse("b,a=1"))
    assert LabelSelector.parse("a=1") != LabelSelector.parse("a=2")
    assert LabelSelector.parse("a=1") != "a=1"
    assert LabelSelector.parse("").empty
    assert not LabelSelector.parse("a").empty
    assert not LabelSelector.nothing().empty
    assert FieldSelector.parse("a=1,b=2") == FieldSelector.parse("b=2,a=1")
    assert FieldSelector.parse("a=1") != FieldSelector.parse("a=2")
    assert FieldSelector.parse("a=1") != "a=1"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("9223372036854775807", True),
        ("9223372036854775808", False),
        ("-9223372036854775808", True),
        ("-9223372036854775809", False),
        ("+7", True),
        ("0" * 63 + "7", True),
        ("0" * 64 + "7", False),
        ("7.0", False),
        ("", False),
        ("\u0667", False),
    ],
)
def test_only_whole_numbers_of_64_bits_are_ordered(value, expected):
    """A label that is no such number is neither greater nor less than anything."""
    found = [LabelSelector.parse(text).matches({"n": value}) for text in ("n>0", "n<1")]
    assert any(found) is expected


def test_members_may_be_empty():
    """A comma without a member stands for the empty value, wherever it is."""
    for text in ("x in (,a)", "x in (a,)", "x in (a,,b)"):
        selector = LabelSelector.parse(text)
        assert selector.matches({"x": ""})
        assert selector.matches({"x": "a"})
    assert not LabelSelector.parse("x in (a)").matches({"x": ""})


def test_an_unknown_operator_of_a_structured_selector_is_named():
    """The message quotes the operator."""
    with pytest.raises(InvalidSelector, match='"Like" is not a valid label selector operator'):
        LabelSelector.of({"matchExpressions": [{"key": "a", "operator": "Like"}]})


@given(st.text(alphabet="ab=!,()<> \tin\\", max_size=12))
def test_any_text_parses_or_is_refused(text):
    """No input crashes the parsers; what parses prints as something that parses to the same."""
    for kind in (LabelSelector, FieldSelector):
        try:
            selector = kind.parse(text)
        except InvalidSelector:
            continue
        assert str(kind.parse(str(selector))) == str(selector)


def test_a_field_selector_selects_by_equality_and_its_negation():
    """`=`, `==` and `!=`; all terms must hold; an absent field is the empty text."""
    values = {"metadata.name": "a", "status.phase": "Running"}

    def get(field):
        return values.get(field, "")

    assert FieldSelector.parse("").matches(get)
    assert FieldSelector.parse("metadata.name=a,status.phase!=Pending").matches(get)
    assert FieldSelector.parse("metadata.name==a,spec.nodeName=").matches(get)
    assert not FieldSelector.parse("metadata.name=a,status.phase!=Running").matches(get)


def test_a_field_selector_unescapes_its_values():
    """A backslash takes comma, equals sign and backslash literally; printing escapes again."""
    selector = FieldSelector.parse(r"a=x\,y\=z\\")

    assert selector.exact("a") == "x,y=z\\"
    several = FieldSelector.parse("a!=1,b=2,a=3")
    assert (several.exact("a"), several.exact("b"), several.exact("c")) == ("3", "2", None)
    assert FieldSelector.parse("a!=1").exact("a") is None
    assert FieldSelector.parse(",=,").empty
    assert str(selector) == r"a=x\,y\=z\\"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
    ],
)
def test_a_bad_field_selector_is_refused_in_the_servers_words(text, message):
    """Whoever knows kubectl's messages knows ours."""
    with pytest.raises(InvalidSelector) as caught:
        FieldSelector.parse(text)

    assert str(caught.value) == message
