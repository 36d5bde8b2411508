"""How Go prints a float64 with `%v`: the shortest digits, exponent below 1e-4 and from 1e21 on."""

import math
from decimal import Decimal


def go_float(value: float) -> str:
    """`1` for 1.0, `0.5`, `1e+21`."""
    number = float(value)
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    if math.isnan(number):
        return "NaN"
    if number == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    if not isinstance(exponent, int):  # only infinities and NaN have none
        raise TypeError(number)
    power = len(digits) + exponent - 1
    text = "".join(map(str, digits))
    if power < -4 or power >= 21:
        point = f".{text[1:]}" if len(text) > 1 else ""
        body = f"{text[0]}{point}e{'-' if power < 0 else '+'}{abs(power):02}"
    else:
        body = format(Decimal((0, digits, exponent)), "f")
    return f"-{body}" if sign else body
