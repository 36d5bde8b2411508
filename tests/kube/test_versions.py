"""Comparing resource versions."""

import pytest

from kaito.kube.versions import newer_or_equal, newest


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("10", "9", True),
        ("9", "10", False),
        ("10", "10", True),
        ("18446744073709551616", "18446744073709551615", True),
        ("18446744073709551615", "18446744073709551616", False),
        ("", "9", True),
        ("9", "", True),
        ("0", "9", True),
        ("9", "abc", True),
        ("²", "9", True),
    ],
)
def test_versions_compare_as_decimals_of_any_length(a, b, expected):
    """Longer is newer, then by character; what is no version never makes anyone wait."""
    assert newer_or_equal(a, b) is expected


def test_the_newest_prefers_what_can_be_compared():
    """An unusable version never hides a usable one."""
    assert newest("9", "10") == "10"
    assert newest("10", "9") == "10"
    assert newest("", "9") == "9"
    assert newest("9", "") == "9"
    assert newest("", "") == ""
    assert newest("odd", "9") == "9"
    assert newest("9", "odd") == "9"
    assert newest("odd", "") == newest("", "odd") == newest("odd", "0") == "odd"
