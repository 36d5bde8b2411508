"""Quantities: exact values, and the text that the API server writes back."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaito.kube.quantity import InvalidQuantity, canonical, equal, in_milli, parse


@pytest.mark.parametrize(
    ("text", "written"),
    [
        # As printed by apimachinery 0.36.
        ("0", "0"),
        ("0.0", "0"),
        ("0Gi", "0"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("1.5", "1500m"),
        ("1.250", "1.250"),
        ("1000", "1k"),
        ("1024", "1024"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("100m", "100m"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1Ki", "1Ki"),
        ("1000Ki", "1000Ki"),
        ("2048Ki", "2Mi"),
        ("10000Ti", "10000Ti"),
        ("1e3", "1e3"),
        ("10e2", "1e3"),
        ("1E3", "1E3"),
        ("1E4", "10e3"),
        ("1.5e3", "1500"),
        ("0.1n", "1n"),
        ("1.1n", "2n"),
        ("-0.5", "-500m"),
        ("-1.1n", "-2n"),
        ("+5", "+5"),
        ("+50", "+50"),
        ("16Ei", "9223372036854775807"),
        ("0.1Gi", "107374182400m"),
    ],
)
def test_a_quantity_is_written_as_the_server_writes_it(text, written):
    """Suffix as large as possible without a fraction, within the family that was given."""
    assert canonical(text) == written


def test_many_quantities_are_written_as_the_server_writes_them():
    """Drawn at random, of all families and lengths, with what apimachinery 0.36 makes of them."""
    told = Path(__file__).with_name("quantities.txt").read_text().splitlines()
    pairs = [tuple(line.split()) for line in told]
    assert len(pairs) == 300
    assert [(text, canonical(text)) for text, _ in pairs] == pairs


@pytest.mark.parametrize(
    ("text", "written"),
    [("1.5", "1.5"), ("0.0001", "1m"), ("-0.0001", "-1m"), ("1500u", "2m"), ("1.0001", "1001m")],
)
def test_in_milli_rounds_away_from_zero(text, written):
    """What is exact in thousandths keeps its text."""
    assert in_milli(text) == written


@pytest.mark.parametrize(
    "text", ["", "x", "1 Gi", "1.2.3", "1gi", "Gi1", "1e", "--1", "1KiB", True]
)
def test_what_is_no_quantity_is_refused(text):
    """Nothing is guessed."""
    with pytest.raises(InvalidQuantity):
        parse(text)


@pytest.mark.parametrize("text", ["1e999999999", "1e-999999999", "9" * 5000])
def test_a_hostile_quantity_costs_nothing(text):
    """Exponents and lengths without sense are refused before anything is computed."""
    with pytest.raises(InvalidQuantity):
        parse(text)


def test_numbers_are_quantities_too():
    """A manifest may say `cpu: 2` or `cpu: 0.5`."""
    assert canonical(2) == "2"
    assert canonical(0.5) == "500m"
    assert parse("250m") == Fraction(1, 4)
    assert equal(1, "1000m")


SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "e3", "E2"]


@given(st.integers(-(10**9), 10**9), st.integers(0, 999), st.sampled_from(SUFFIXES))
def test_canonical_keeps_the_value_and_is_stable(whole, part, suffix):
    """Writing a quantity again never changes its amount, and once written it stays."""
    text = f"{whole}.{part:03}{suffix}"
    written = canonical(text)

    assert parse(written) == parse(text)
    assert canonical(written) == written
