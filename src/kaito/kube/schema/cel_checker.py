"""Does an expression fit the types of what it is about? In the words of the real compiler.

cel-python evaluates, and finds out about types only then; a real server refuses a rule with a typo
when the definition is stored. Not judged: casts and comprehensions that this walk does not know;
they count as fitting.
"""

import re
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from lark import Token, Tree

from kaito.kube.schema import cel_types as types
from kaito.kube.schema import formats
from kaito.kube.schema.cel_declarations import TYPE_NAMES, declarations
from kaito.kube.schema.cel_types import BOOL, DYN, ERROR, INT, Bound, Type

Node = Tree[Token]

_SKIPPED: Final = re.compile(r"(?:\s|//[^\n]*)*")
_PAIR: Final = 2
_LITERALS: Final = {
    "INT_LIT": INT,
    "UINT_LIT": Type("uint"),
    "FLOAT_LIT": types.DOUBLE,
    "STRING_LIT": types.STRING,
    "MLSTRING_LIT": types.STRING,
    "BYTES_LIT": types.BYTES,
    "BOOL_LIT": BOOL,
    "NULL_LIT": types.NULL,
}
_BINARY: Final = {
    "relation_lt": ("_<_", "<"),
    "relation_le": ("_<=_", "<="),
    "relation_gt": ("_>_", ">"),
    "relation_ge": ("_>=_", ">="),
    "relation_eq": ("_==_", "=="),
    "relation_ne": ("_!=_", "!="),
    "relation_in": ("@in", "in"),
    "addition_add": ("_+_", "+"),
    "addition_sub": ("_-_", "-"),
    "multiplication_mul": ("_*_", "*"),
    "multiplication_div": ("_/_", "/"),
    "multiplication_mod": ("_%_", "%"),
}
_QUOTED: Final = r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"""
_WORDS: Final = re.compile(rf"(?:{_QUOTED})|(?<![.\w])(?P<word>true|false|null)\b")
_PLAIN_TEXT: Final = re.compile(r"""(?:[rR](?P<raw>["']).*|(?P<quote>["'])[^\\]*)(?P=quote)?""")


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """What there is to say about an expression."""

    complaint: str
    """Every complaint, each with its place, as the real compiler prints them; or nothing."""
    result: Type


@final
@dataclass(frozen=True, slots=True)
class _Typed:
    """The type of a part, and where the compiler says that it is."""

    type: Type
    at: int


def judge(text: str, tree: Node, names: Mapping[str, Type]) -> Verdict:
    """Check a parsed expression in which `names` are declared."""
    _place(tree, _WORDS.finditer(text))
    checker = _Checker(text, names)
    found = checker.check(tree)
    told = sorted(dict.fromkeys(checker.complaints), key=lambda one: one[0])
    return Verdict("\n".join(located(text, at, why) for at, why in told), found.type)


def located(text: str, at: int, why: str) -> str:
    """A complaint with the line that it is about, and a mark below the place."""
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].partition("\n")[0]
    column = at - start
    where = f"{text.count(chr(10), 0, at) + 1}:{column + 1}"
    return f"ERROR: <input>:{where}: {why}\n | {line}\n | {'.' * column}^"


@final
class _Checker:
    def __init__(self, text: str, names: Mapping[str, Type]) -> None:
        self._text = text
        self._names: ChainMap[str, Type] = ChainMap(dict(names))
        self.complaints: list[tuple[int, str]] = []

    def check(self, node: Node) -> _Typed:
        children = node.children
        known: Callable[[Node], _Typed] | None = getattr(self, f"_{node.data}", None)
        if known is not None:
            return known(node)
        if len(children) == 1 and isinstance(children[0], Tree):
            return self.check(children[0])
        if len(children) == _PAIR and isinstance(children[0], Tree):
            return self._two(children[0], _tree(children[1]))
        return _Typed(DYN, node.meta.start_pos)

    def _complain(self, at: int, why: str) -> _Typed:
        self.complaints.append((at, why))
        return _Typed(ERROR, at)

    def _expect(self, found: _Typed, wanted: Type) -> bool:
        fitting = types.fits(found.type, wanted, {})
        if not fitting:
            self._complain(found.at, f"expected type '{wanted}' but found '{found.type}'")
        return fitting

    def _behind(self, position: int) -> int:
        """The next place where anything is written."""
        skipped = _SKIPPED.match(self._text, position)
        return skipped.end() if skipped else position

    # ---- operators

    def _two(self, left: Node, right: Node) -> _Typed:
        """`relation` and the like: what stands before with its operator, and the rest."""
        operator = _BINARY.get(str(left.data))
        if operator is None:
            return _Typed(DYN, left.meta.start_pos)
        inner = _tree(left.children[0])
        found = [self.check(inner).type, self.check(right).type]
        return self._called(operator[0], found, self._behind(inner.meta.end_pos))

    def _expr(self, node: Node) -> _Typed:
        children: list[Any] = node.children
        if len(children) == 1:
            return self.check(children[0])
        at = self._behind(children[0].meta.end_pos)
        return self._called("_?_:_", [self.check(child).type for child in children], at)

    def _conditionalor(self, node: Node) -> _Typed:
        children: list[Any] = node.children
        if len(children) == 1:
            return self.check(children[0])
        fitting = [self._expect(self.check(child), BOOL) for child in children]
        result = BOOL if all(fitting) else ERROR
        return _Typed(result, self._behind(children[0].meta.end_pos))

    _conditionaland = _conditionalor

    def _unary(self, node: Node) -> _Typed:
        children: list[Any] = node.children
        if len(children) == 1:
            return self.check(children[0])
        operator = "!_" if children[0].data == "unary_not" else "-_"
        return self._called(operator, [self.check(children[1]).type], node.meta.start_pos)

    def _member_index(self, node: Node) -> _Typed:
        children: list[Any] = node.children
        found = [self.check(child).type for child in children]
        return self._called("_[_]", found, self._behind(children[0].meta.end_pos))

    # ---- names and fields

    def _ident(self, node: Node) -> _Typed:
        children: list[Any] = node.children
        return self._named(str(children[-1]), node.meta.start_pos)

    _dot_ident = _ident

    def _named(self, name: str, at: int) -> _Typed:
        found = self._names.get(name)
        if found is None and name in TYPE_NAMES:
            found = Type("type", (types.parse(TYPE_NAMES[name]),))
        if found is None:
            return self._complain(at, f"undeclared reference to '{name}' (in container '')")
        return _Typed(found, at)

    def _member_dot(self, node: Node) -> _Typed:
        children: list[Any] = node.children
        inner, name = children
        dotted = self._dotted(node)
        if dotted in TYPE_NAMES and dotted.partition(".")[0] not in self._names:
            return self._named(dotted, node.meta.start_pos)
        return self._field(self.check(inner).type, str(name), self._behind(inner.meta.end_pos))

    def _field(self, holder: Type, name: str, at: int) -> _Typed:
        if holder.name == "optional_type":
            found = self._field(holder.of[0], name, at)
            return _Typed(types.optional(found.type), at)
        if types.is_any(holder):
            return _Typed(holder, at)
        if holder.name == "map":
            return _Typed(holder.of[1], at)
        if holder.fields is None:
            return self._complain(at, f"type '{holder}' does not support field selection")
        if name not in holder.fields:
            return self._complain(at, f"undefined field '{name}'")
        return _Typed(holder.fields[name], at)

    def _dotted(self, node: Node) -> str:
        """`a.b.c`, if there is nothing else; or nothing."""
        children = node.children
        if node.data == "member_dot":
            before = self._dotted(_tree(children[0]))
            return f"{before}.{children[1]}" if before else ""
        if node.data == "ident":
            return str(children[0])
        inner = children[0] if len(children) == 1 else None
        passed = isinstance(inner, Tree) and node.data in ("member", "primary")
        return self._dotted(inner) if passed and isinstance(inner, Tree) else ""

    def _member_object(self, node: Node) -> _Typed:
        children: list[Any] = node.children
        at = self._behind(children[0].meta.end_pos)
        name = self._dotted(_tree(children[0]))
        return self._complain(at, f"undeclared reference to '{name}' (in container '')")

    # ---- literals

    def _literal(self, node: Node) -> _Typed:
        children: list[Any] = node.children
        return _Typed(_LITERALS.get(children[0].type, DYN), node.meta.start_pos)

    def _list_lit(self, node: Node) -> _Typed:
        children: list[Any] = node.children
        items = [self.check(child) for child in _arguments(children)]
        return _Typed(types.list_of(self._common(items)), node.meta.start_pos)

    def _map_lit(self, node: Node) -> _Typed:
        children: list[Any] = node.children
        found = [self.check(child) for child in _arguments(children)]
        made = types.map_of(self._common(found[::2]), self._common(found[1::2]))
        return _Typed(made, node.meta.start_pos)

    def _common(self, found: Sequence[_Typed]) -> Type:
        """The one type of all; what does not fit the first is complained of."""
        if not found:
            return DYN
        first = found[0].type
        for one in found[1:]:
            self._expect(one, first)
        return DYN if any(types.is_any(one.type) for one in found) else first

    # ---- calls

    def _ident_arg(self, node: Node) -> _Typed:
        children: list[Any] = node.children
        name, arguments = children[0], _arguments(children[1:])
        at = self._behind(name.end_pos)
        if name == "has" and len(arguments) == 1:
            return self._has(arguments[0], at)
        found = [self.check(one) for one in arguments]
        self._literals(str(name), arguments, found)
        return self._called(str(name), [one.type for one in found], at)

    _dot_ident_arg = _ident_arg

    def _has(self, argument: Node, at: int) -> _Typed:
        inner = _bare(argument)
        if inner.data != "member_dot":
            found = self._quietly(argument)
            return self._complain(found.at, "invalid argument to has() macro")
        holder, name = inner.children
        self._field(self.check(_tree(holder)).type, str(name), at)
        return _Typed(BOOL, at)

    def _quietly(self, node: Node) -> _Typed:
        before = list(self.complaints)
        found = self.check(node)
        self.complaints = before
        return found

    def _member_dot_arg(self, node: Node) -> _Typed:
        children: list[Any] = node.children
        target, name = children[0], children[1]
        arguments, at = _arguments(children[2:]), self._behind(name.end_pos)
        macro = _MACROS.get((str(name), len(arguments)))
        if macro == "":
            return _Typed(DYN, at)
        if macro is not None:
            checked: _Typed = getattr(self, macro)(target, arguments, at)
            return checked
        found = [self.check(one) for one in arguments]
        dotted = self._dotted(target)
        whole = f"{dotted}.{name}"
        if dotted and whole in declarations() and dotted.partition(".")[0] not in self._names:
            return self._called(whole, [one.type for one in found], at)
        self._literals(str(name), arguments, found)
        receiver = self.check(target).type
        return self._called(str(name), [receiver, *(one.type for one in found)], at, member=True)

    def _called(self, name: str, arguments: list[Type], at: int, *, member: bool = False) -> _Typed:
        overloads = declarations().get(name)
        if overloads is None:
            return self._complain(at, f"undeclared reference to '{name}' (in container '')")
        results: dict[Type, None] = {}
        for one in overloads:
            bound: Bound = {}
            if one.member != member or len(one.arguments) != len(arguments):
                continue
            pairs = zip(arguments, one.arguments, strict=True)
            if all(types.fits(given, wanted, bound) for given, wanted in pairs):
                results[types.settled(one.result, bound)] = None
        if not results:
            told = _shown(arguments, member=member)
            return self._complain(
                at, f"found no matching overload for '{name}' applied to '{told}'"
            )
        return _Typed(next(iter(results)) if len(results) == 1 else DYN, at)

    def _literals(self, name: str, arguments: list[Node], found: list[_Typed]) -> None:
        """A pattern that is written out has to be one."""
        if name != "matches" or not arguments:
            return
        text = self._text[arguments[-1].meta.start_pos : arguments[-1].meta.end_pos]
        plain = _PLAIN_TEXT.fullmatch(text)
        if plain is None or found[-1].type != types.STRING:
            return
        try:
            formats.pattern(text.lstrip("rR").strip(text[-1]))
        except ValueError:
            self._complain(found[-1].at, "invalid matches argument")

    # ---- macros

    def _entered(self, target: Node, variables: list[Node]) -> bool:
        """Declare the variables of a comprehension over `target`; False if they are no names."""
        over = self.check(target)
        names = [self._variable(one) for one in variables]
        declared = self._elements(over)
        if len(names) == 1 and over.type.name == "list":
            declared = declared[::-1]
        if "" in names:
            return False
        self._names = self._names.new_child(dict(zip(names, declared, strict=False)))
        return True

    def _variable(self, node: Node) -> str:
        inner = _bare(node)
        if inner.data == "ident":
            return str(inner.children[0])
        self._complain(self._quietly(node).at, "argument must be a simple name")
        return ""

    def _elements(self, over: _Typed) -> tuple[Type, Type]:
        """Index or key, and value."""
        if over.type.name == "list":
            return INT, over.type.of[0]
        if over.type.name == "map":
            return over.type.of[0], over.type.of[1]
        if not types.is_any(over.type):
            told = "cannot be range of a comprehension (must be list, map, or dynamic)"
            self._complain(over.at, f"expression of type '{over.type}' {told}")
            return ERROR, ERROR
        return DYN, DYN

    def _left(self) -> None:
        self._names = self._names.parents

    def _every(self, target: Node, arguments: list[Node], at: int) -> _Typed:
        """`all`, `exists`."""
        if self._entered(target, arguments[:-1]):
            self._expect(self.check(arguments[-1]), BOOL)
            self._left()
        return _Typed(BOOL, at)

    def _one(self, target: Node, arguments: list[Node], at: int) -> _Typed:
        if self._entered(target, arguments[:-1]):
            self._called("_?_:_", [self.check(arguments[-1]).type, INT, INT], at)
            self._left()
        return _Typed(BOOL, at)

    def _filter(self, target: Node, arguments: list[Node], at: int) -> _Typed:
        made = DYN
        if self._entered(target, arguments[:1]):
            made = types.list_of(self._named(self._variable(arguments[0]), at).type)
            self._called("_?_:_", [self.check(arguments[1]).type, made, made], at)
            self._left()
        return _Typed(made, at)

    def _map(self, target: Node, arguments: list[Node], at: int, variables: int = 1) -> _Typed:
        made = DYN
        if self._entered(target, arguments[:variables]):
            *conditions, last = arguments[variables:]
            made = types.list_of(self.check(last).type)
            for one in conditions:
                self._called("_?_:_", [self.check(one).type, made, made], at)
            self._left()
        return _Typed(made, at)

    def _transform_list(self, target: Node, arguments: list[Node], at: int) -> _Typed:
        return self._map(target, arguments, at, 2)

    def _transform_map(self, target: Node, arguments: list[Node], at: int) -> _Typed:
        over = self._quietly(target)
        made = self._map(target, arguments, at, 2).type
        key = over.type.of[0] if over.type.name == "map" else INT
        return _Typed(types.map_of(key, made.of[0]) if made.of else DYN, at)


def _place(node: Node, words: Iterator[re.Match[str]]) -> None:
    """The parser does not say where `true`, `false` and `null` are: find them, in their order."""
    for child in node.children:
        if isinstance(child, Tree):
            _place(child, words)
        elif child.type in ("BOOL_LIT", "NULL_LIT"):
            found = next((one for one in words if one["word"]), None)
            child.start_pos, child.end_pos = found.span() if found else (0, 0)
    ends = [one.meta if isinstance(one, Tree) else one for one in node.children]
    if ends and getattr(node.meta, "start_pos", None) is None:
        node.meta.start_pos = ends[0].start_pos or 0
    if ends and getattr(node.meta, "end_pos", None) is None:
        node.meta.end_pos = ends[-1].end_pos or 0


def _tree(child: Any) -> Node:
    return child if isinstance(child, Tree) else Tree("literal", [child])


def _arguments(children: list[Any]) -> list[Node]:
    """The expressions of a list of arguments, or of the items of a literal."""
    lists = [child for child in children if isinstance(child, Tree)]
    return [one for found in lists for one in found.children if isinstance(one, Tree)]


def _bare(node: Node) -> Node:
    """Without the layers of precedence that add nothing."""
    while len(node.children) == 1 and isinstance(node.children[0], Tree):
        if node.data in ("paren_expr", "list_lit", "map_lit"):
            break
        node = node.children[0]
    return node


def _shown(arguments: list[Type], *, member: bool) -> str:
    told = ", ".join(str(one) for one in (arguments[1:] if member else arguments))
    return f"{arguments[0]}.({told})" if member else f"({told})"


_MACROS: Final = {
    **{(name, count): "_every" for name in ("all", "exists") for count in (2, 3)},
    **{(name, count): "_one" for name in ("exists_one", "existsOne") for count in (2, 3)},
    ("filter", 2): "_filter",
    **{("map", count): "_map" for count in (2, 3)},
    **{("transformList", count): "_transform_list" for count in (3, 4)},
    **{("transformMap", count): "_transform_map" for count in (3, 4)},
    **{("transformMapEntry", count): "" for count in (3, 4)},
    **{(name, 2): "" for name in ("optMap", "optFlatMap", "sortBy")},
}
"""Name and number of arguments -> who checks them; nobody: what they make is taken as it comes."""
