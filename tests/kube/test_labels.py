"""The shape of label keys, label values and names of objects."""

import pytest

from kaito.kube.labels import key_problems, subdomain_problems, value_problems

L63, L64 = "a" * 63, "a" * 64
NAME_253 = ".".join(["a" * 63] * 3 + ["a" * 61])


@pytest.mark.parametrize("text", ["a", "a-b.c0", "0.0", NAME_253])
def test_a_subdomain(text):
    """Labels of lower case letters, digits and inner dashes, joined by dots."""
    assert subdomain_problems(text) == []


@pytest.mark.parametrize("text", ["", "A", "a_b", "-a", "a-", "a..b", ".a", "a-.b", "ä", "a\n"])
def test_no_subdomain(text):
    """One sentence, with the rule."""
    (problem,) = subdomain_problems(text)
    assert problem.startswith("a lowercase RFC 1123 subdomain must consist of lower case")
    assert problem.endswith(r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')")


def test_a_subdomain_has_at_most_253_bytes():
    """Nothing else is wrong with this one."""
    assert subdomain_problems(NAME_253 + "a") == ["must be no more than 253 bytes"]


@pytest.mark.parametrize("key", ["a", "A.b_c-d", "1", L63, "example.org/" + L63, "a/b"])
def test_a_key(key):
    """A name, and before a slash, if there is one, a subdomain."""
    assert key_problems(key) == []


@pytest.mark.parametrize(
    ("key", "beginnings"),
    [
        ("", ["name part must be non-empty", "name part must consist of alphanumeric"]),
        ("a/", ["name part must be non-empty", "name part must consist of alphanumeric"]),
        ("/a", ["prefix part must be non-empty"]),
        ("a/b/c", ["a valid label key must consist of alphanumeric"]),
        ("A/b", ["prefix part a lowercase RFC 1123 subdomain"]),
        (L64, ["name part must be no more than 63 bytes"]),
        ("-a", ["name part must consist of alphanumeric"]),
    ],
)
def test_no_key(key, beginnings):
    """Every part that is wrong is named."""
    found = key_problems(key)
    assert len(found) == len(beginnings)
    assert all(map(str.startswith, found, beginnings))


def test_the_rule_of_keys_is_told_with_its_prefix():
    """In the server's words."""
    assert key_problems("a/b/c")[0].endswith(
        "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' "
        "(e.g. 'example.com/MyName')"
    )


def test_a_value():
    """Empty, or as a name; at most 63 bytes."""
    assert [value_problems(text) for text in ("", "a", "A.b_c-d", L63)] == [[]] * 4
    assert value_problems(L64) == ["must be no more than 63 bytes"]
    for text in ("-a", "a-", "a b", "ä"):
        (problem,) = value_problems(text)
        assert problem.startswith("a valid label must be an empty string or consist of")
