"""Kubernetes quantities: `500m`, `1Gi`, `1e3`.

`canonical` is how the API server writes a quantity back. The server keeps some texts as they came
(it remembers a text that is probably canonical already instead of computing it again), so `1.250`
stays while `1.5` becomes `1500m`; and a bare suffix (`Gi`) is zero. Checked against apimachinery
0.36, from which this differs on purpose above `E`: 0.36 writes 1000E as `1`, here it is `1e21`.
"""

import math
import re
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple


class InvalidQuantity(ValueError):
    """Not a quantity. The message is the API server's."""


_SHAPE = re.compile(
    r"(?P<sign>[+-]?)0*(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?"
    r"(?P<suffix>[eEinumkKMGTP]*[-+]?[0-9]*)",
    re.ASCII,
)
_SHAPE_ERROR = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)
_SUFFIX_ERROR = "unable to parse quantity's suffix"

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_BINARY_SUFFIX = {exponent: suffix for suffix, exponent in _BINARY.items()}
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)", re.ASCII)

_MAX_EXPONENT = 1000
"""Beyond it nothing is measured; the bound keeps a hostile `1e999999999` from being computed."""
_MAX_TEXT = 1024
_MAX_BINARY = 2**63 - 1
"""The server caps binary quantities here."""
_FAST_DIGITS = 18
"""Digits of a number that the server keeps as a scaled int64."""


class _Parsed(NamedTuple):
    value: Fraction
    style: str  # "decimal", "binary" or "exponent"
    kept: bool  # the server would write the text back as it came


def parse(text: str | int | float) -> Fraction:
    """The exact value, rounded away from zero to a whole number of nanos as the server does.

    Raises InvalidQuantity.
    """
    return _parse(_text(text)).value


def canonical(text: str | int | float) -> str:
    """The text that the API server stores and returns for this quantity.

    Raises InvalidQuantity.
    """
    given = _text(text)
    parsed = _parse(given)
    return given if parsed.kept else _write(parsed.value, parsed.style)


def in_milli(text: str) -> str:
    """The canonical text of the amount rounded away from zero to thousandths, as the API server
    does in lists of resources. Raises InvalidQuantity."""
    parsed = _parse(text)
    milli = parsed.value * 1000
    if milli.denominator == 1:
        return text
    whole = math.ceil(milli) if milli > 0 else math.floor(milli)
    return _write(Fraction(whole, 1000), parsed.style)


def equal(a: str | int | float, b: str | int | float) -> bool:
    """Whether both are the same amount, however they are written. Raises InvalidQuantity."""
    return parse(a) == parse(b)


def total(amounts: Iterable[str]) -> str:
    """The sum, as the API server writes it: in the form of the first amount that is not zero.

    Raises InvalidQuantity.
    """
    value, style = Fraction(0), "decimal"
    for text in amounts:
        parsed = _parse(text)
        if not value:
            style = parsed.style
        value += parsed.value
    return _write(value, style)


def _text(value: str | int | float) -> str:
    if isinstance(value, bool):
        raise InvalidQuantity(_SHAPE_ERROR)
    return value.strip() if isinstance(value, str) else str(value)


def _parse(text: str) -> _Parsed:
    if text == "0":
        return _Parsed(Fraction(0), "decimal", kept=True)
    match = _SHAPE.fullmatch(text) if 0 < len(text) <= _MAX_TEXT else None
    if match is None:
        raise InvalidQuantity(_SHAPE_ERROR)
    whole, part, suffix = match["whole"] or "0", match["part"] or "", match["suffix"]
    style, exponent = _interpret(suffix)
    digits = whole + part
    if style == "binary":
        value = Fraction(int(digits) << exponent, 10 ** len(part))
    else:
        value = int(digits) * Fraction(10) ** (exponent - len(part))
    value, style = _bounded(value, style)
    kept = _kept(whole, part, style, exponent)
    return _Parsed(-value if match["sign"] == "-" else value, style, kept)


def _interpret(suffix: str) -> tuple[str, int]:
    if suffix in _DECIMAL:
        return "decimal", _DECIMAL[suffix]
    if suffix in _BINARY:
        return "binary", _BINARY[suffix]
    match = _EXPONENT.fullmatch(suffix)
    if match is None or abs(int(match[1])) > _MAX_EXPONENT:
        raise InvalidQuantity(_SUFFIX_ERROR)
    return "exponent", int(match[1])


def _bounded(value: Fraction, style: str) -> tuple[Fraction, str]:
    nanos = value * 10**9
    if nanos.denominator != 1:
        value = Fraction(-(-nanos.numerator // nanos.denominator), 10**9)
    if style != "binary":
        return value, style
    if value > _MAX_BINARY:
        return Fraction(_MAX_BINARY), style
    return value, "decimal" if 0 < value < 1 else style


def _kept(whole: str, part: str, style: str, exponent: int) -> bool:
    """Whether the server takes the text for canonical without computing it."""
    digits = whole + part
    if style == "binary":
        bits = 15 - len(whole) - int(exponent * 3 / 10) - 1
        fits = not part and bits >= 0 and (int(whole) << exponent) <= _MAX_BINARY
        return fits and bool(int(whole) & 7)
    scale = exponent - len(part)
    if len(digits) > _FAST_DIGITS or scale < -9:
        return False
    return scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0"


def _write(value: Fraction, style: str) -> str:
    if value == 0:
        return "0"
    if style == "binary" and value.denominator == 1 and abs(value) >= 1024:
        number, times = _divide_out(int(value), 1024)
        return f"{number}{_BINARY_SUFFIX.get(times * 10, '')}"
    number, exponent = _divide_out(int(value * 10**9), 10)
    exponent -= 9
    number, exponent = number * 10 ** (exponent % 3), exponent - exponent % 3
    if style == "exponent" or exponent not in _DECIMAL_SUFFIX:
        return f"{number}e{exponent}" if exponent else str(number)
    return f"{number}{_DECIMAL_SUFFIX[exponent]}"


def _divide_out(number: int, factor: int) -> tuple[int, int]:
    times = 0
    while number % factor == 0:
        number //= factor
        times += 1
    return number, times
