"""Rules drawn at random for a schema with a field of every type: do they compile?"""

from collections.abc import Iterator

from tests.contract.apiserver.drawn import Chance, Draw
from tests.contract.apiserver.ruled import FIELDS, PATH, definition

_LITERALS = ["1", "2u", "1.5", "'a'", "true", "null", "b'a'", "[1, 2]", "['a']", "{'a': 1}"]
_BINARY = ["+", "-", "*", "/", "%", "<", ">=", "==", "!=", "in", "&&", "||"]
_CALLS = ["size", "int", "string", "double", "duration", "timestamp", "dyn", "type", "quantity"]
_METHODS = [
    *("size()", "startsWith('a')", "contains(1)", "matches('^a')", "sum()", "min()", "isSorted()"),
    *("getFullYear()", "getHours()", "split(',')", "join()", "lowerAscii()", "indexOf('a')"),
    *("distinct()", "slice(0, 1)", "nothing()"),
]
_TRUTHS = [
    *("self.b", "self.i > 1", "self.i < self.n", "self.s == 'a'", "'a' in self.m", "has(self.o.a)"),
    *("self.l.size() > 1", "self.lm.map(x, x.k).exists(x, x == 'a')", "self.e == 1"),
    *("self.e == 'a'", "self.o == self.o", "self.t > timestamp('2020-01-01T00:00:00Z')"),
    *("self.d < duration('1h')", "self.by.size() > 1", "string(self.i) == self.s"),
    *("self.l + ['a'] == self.l.filter(x, x != 'b')", "self.s.split(',')[0] == self.o.a"),
    *("self.m.all(k, self.m[k] > size(k))", "self.il.sum() == 2", "self.em.metadata.name != ''"),
    *("quantity(self.s).isLessThan(quantity('1'))", "type(self.e) == int", "self.l.isSorted()"),
    *("[1, 2].exists(x, x == self.i)", "{'a': 1}[self.s] == 1", "self.t.getHours() > 1"),
    *("self.nu.matches('^a+$')", "dyn(self.i) == 'a'", "url(self.s).getHost() == self.s"),
    *("self == oldSelf", "oldSelf.i <= self.i", "self.s.find('a').indexOf('b', 1) == -1"),
]
_MACROS = ["all", "exists", "exists_one", "filter", "map"]
_FIELDS = [name for name in FIELDS if name.isalpha() and name not in ("if", "free")]


class Rules(Chance):
    """Definitions that are only tried, each with one rule."""

    def setup(self) -> Iterator[Draw]:
        yield from ()

    def draws(self, count: int) -> Iterator[Draw]:
        for _ in range(count):
            sound = self.often(0.5)
            rule = {"rule": self._bool(3) if sound else self._expression(2, ("self",))}
            yield Draw("POST", PATH, definition([rule], FIELDS, self.group.partition(".")[0]))

    def _expression(self, depth: int, names: tuple[str, ...]) -> str:
        if depth == 0 or self.often(0.15):
            return self._leaf(names)
        below = depth - 1
        draw = self.random.random()
        if draw < 0.4:
            left, right = self._expression(below, names), self._expression(below, names)
            return f"({left} {self.pick(_BINARY)} {right})"
        if draw < 0.5:
            return f"{self.pick(['!', '-'])}({self._expression(below, names)})"
        if draw < 0.6:
            parts = (self._expression(below, names) for _ in range(3))
            return "({} ? {} : {})".format(*parts)
        if draw < 0.7:
            return f"{self.pick(_CALLS)}({self._expression(below, names)})"
        if draw < 0.82:
            return f"({self._expression(below, names)}).{self.pick(_METHODS)}"
        if draw < 0.88:
            return f"{self._field()}[{self._leaf(names)}]"
        name = f"v{depth}"
        inside = self._expression(below, (*names, name))
        return f"{self._field()}.{self.pick(_MACROS)}({name}, {inside})"

    # What compiles

    def _bool(self, depth: int) -> str:
        if depth == 0:
            return str(self.pick(_TRUTHS))
        below = depth - 1
        draw = self.random.random()
        if draw < 0.25:
            return (
                f"({self._bool(below)} {self.pick(['&&', '||', '==', '!='])} {self._bool(below)})"
            )
        if draw < 0.35:
            return f"!({self._bool(below)})"
        if draw < 0.5:
            parts = (self._bool(below) for _ in range(3))
            return "({} ? {} : {})".format(*parts)
        if draw < 0.7:
            macro = self.pick(["all", "exists", "exists_one"])
            return f"{self.pick(['self.l', 'self.lm', 'self.m'])}.{macro}(v, {self._bool(below)})"
        return str(self.pick(_TRUTHS))

    # What mostly does not

    def _leaf(self, names: tuple[str, ...]) -> str:
        draw = self.random.random()
        if draw < 0.3:
            return str(self.pick(_LITERALS))
        if draw < 0.4:
            return str(self.pick(list(names)))
        return self._field()

    def _field(self) -> str:
        return f"self.{self.pick([*_FIELDS, *_FIELDS, 'zz', 'o.a', 'lm[0].k', 'em.kind'])}"
