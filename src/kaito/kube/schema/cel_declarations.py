"""What functions and operators the rules of a definition may use, and on what.

The standard definitions of CEL and those that Kubernetes 1.36 adds: each line is a name and its
overloads; `string.(int) -> bool` is called on a string.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final, final

from kaito.kube.schema.cel_types import Type, parse


@final
@dataclass(frozen=True, slots=True)
class Overload:
    """One way to call a function. `member`: the first argument stands before the dot."""

    member: bool
    arguments: tuple[Type, ...]
    result: Type


_OPERATORS: Final = """
_==_: (A, A) -> bool
_!=_: (A, A) -> bool
!_: (bool) -> bool
_?_:_: (bool, A, A) -> A
@in: (A, list(A)) -> bool; (A, map(A, B)) -> bool
_[_]: (list(A), int) -> A; (map(A, B), A) -> B
-_: (int) -> int; (double) -> double
_+_: (int, int) -> int; (uint, uint) -> uint; (double, double) -> double; (string, string) -> string
_+_: (bytes, bytes) -> bytes; (list(A), list(A)) -> list(A); (timestamp, duration) -> timestamp
_+_: (duration, timestamp) -> timestamp; (duration, duration) -> duration
_-_: (int, int) -> int; (uint, uint) -> uint; (double, double) -> double
_-_: (timestamp, timestamp) -> duration; (timestamp, duration) -> timestamp
_-_: (duration, duration) -> duration
_*_: (int, int) -> int; (uint, uint) -> uint; (double, double) -> double
_/_: (int, int) -> int; (uint, uint) -> uint; (double, double) -> double
_%_: (int, int) -> int; (uint, uint) -> uint
"""
_COMPARED: Final = ("bool", "string", "bytes", "timestamp", "duration")
_NUMBERS: Final = ("int", "uint", "double")

_STANDARD: Final = """
size: (string) -> int; (bytes) -> int; (list(A)) -> int; (map(A, B)) -> int
size: string.() -> int; bytes.() -> int; list(A).() -> int; map(A, B).() -> int
type: (A) -> type(A)
dyn: (A) -> dyn
bool: (bool) -> bool; (string) -> bool
bytes: (bytes) -> bytes; (string) -> bytes
int: (int) -> int; (uint) -> int; (double) -> int; (string) -> int; (timestamp) -> int
int: (duration) -> int
uint: (uint) -> uint; (int) -> uint; (double) -> uint; (string) -> uint
double: (double) -> double; (int) -> double; (uint) -> double; (string) -> double
string: (string) -> string; (bool) -> string; (bytes) -> string; (double) -> string
string: (int) -> string; (uint) -> string; (timestamp) -> string; (duration) -> string
string: (net.IP) -> string; (net.CIDR) -> string
timestamp: (timestamp) -> timestamp; (string) -> timestamp; (int) -> timestamp
duration: (duration) -> duration; (string) -> duration; (int) -> duration
contains: string.(string) -> bool
startsWith: string.(string) -> bool
endsWith: string.(string) -> bool
matches: string.(string) -> bool; (string, string) -> bool
getFullYear: timestamp.() -> int; timestamp.(string) -> int
getMonth: timestamp.() -> int; timestamp.(string) -> int
getDayOfYear: timestamp.() -> int; timestamp.(string) -> int
getDayOfMonth: timestamp.() -> int; timestamp.(string) -> int
getDate: timestamp.() -> int; timestamp.(string) -> int
getDayOfWeek: timestamp.() -> int; timestamp.(string) -> int
getHours: timestamp.() -> int; timestamp.(string) -> int; duration.() -> int
getMinutes: timestamp.() -> int; timestamp.(string) -> int; duration.() -> int
getSeconds: timestamp.() -> int; timestamp.(string) -> int; duration.() -> int
getMilliseconds: timestamp.() -> int; timestamp.(string) -> int; duration.() -> int
"""

_TEXTS: Final = """
charAt: string.(int) -> string
indexOf: string.(string) -> int; string.(string, int) -> int; list(A).(A) -> int
lastIndexOf: string.(string) -> int; string.(string, int) -> int; list(A).(A) -> int
lowerAscii: string.() -> string
upperAscii: string.() -> string
trim: string.() -> string
replace: string.(string, string) -> string; string.(string, string, int) -> string
split: string.(string) -> list(string); string.(string, int) -> list(string)
substring: string.(int) -> string; string.(int, int) -> string
join: list(string).() -> string; list(string).(string) -> string
format: string.(list(dyn)) -> string
strings.quote: (string) -> string
find: string.(string) -> string
findAll: string.(string) -> list(string); string.(string, int) -> list(string)
"""

_SETS_AND_LISTS: Final = """
sets.contains: (list(A), list(A)) -> bool
sets.equivalent: (list(A), list(A)) -> bool
sets.intersects: (list(A), list(A)) -> bool
distinct: list(A).() -> list(A)
slice: list(A).(int, int) -> list(A)
flatten: list(list(A)).() -> list(A); list(dyn).(int) -> list(dyn)
reverse: list(A).() -> list(A)
lists.range: (int) -> list(int)
optional.of: (A) -> optional_type(A)
optional.ofNonZeroValue: (A) -> optional_type(A)
optional.none: () -> optional_type(dyn)
hasValue: optional_type(A).() -> bool
value: optional_type(A).() -> A
or: optional_type(A).(optional_type(A)) -> optional_type(A)
orValue: optional_type(A).(A) -> A
"""
_SORTED: Final = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")
_SUMMED: Final = ("int", "uint", "double", "duration")

_KUBERNETES: Final = """
url: (string) -> kubernetes.URL
isURL: (string) -> bool
getScheme: kubernetes.URL.() -> string
getHost: kubernetes.URL.() -> string
getHostname: kubernetes.URL.() -> string
getPort: kubernetes.URL.() -> string
getEscapedPath: kubernetes.URL.() -> string
getQuery: kubernetes.URL.() -> map(string, list(string))
quantity: (string) -> kubernetes.Quantity
isQuantity: (string) -> bool
sign: kubernetes.Quantity.() -> int
isInteger: kubernetes.Quantity.() -> bool
asInteger: kubernetes.Quantity.() -> int
asApproximateFloat: kubernetes.Quantity.() -> double
add: kubernetes.Quantity.(kubernetes.Quantity) -> kubernetes.Quantity
add: kubernetes.Quantity.(int) -> kubernetes.Quantity
sub: kubernetes.Quantity.(kubernetes.Quantity) -> kubernetes.Quantity
sub: kubernetes.Quantity.(int) -> kubernetes.Quantity
isLessThan: kubernetes.Quantity.(kubernetes.Quantity) -> bool
isGreaterThan: kubernetes.Quantity.(kubernetes.Quantity) -> bool
compareTo: kubernetes.Quantity.(kubernetes.Quantity) -> int
semver: (string) -> kubernetes.Semver; (string, bool) -> kubernetes.Semver
isSemver: (string) -> bool; (string, bool) -> bool
major: kubernetes.Semver.() -> int
minor: kubernetes.Semver.() -> int
patch: kubernetes.Semver.() -> int
isLessThan: kubernetes.Semver.(kubernetes.Semver) -> bool
isGreaterThan: kubernetes.Semver.(kubernetes.Semver) -> bool
compareTo: kubernetes.Semver.(kubernetes.Semver) -> int
ip: (string) -> net.IP; net.CIDR.() -> net.IP
isIP: (string) -> bool
ip.isCanonical: (string) -> bool
family: net.IP.() -> int
isUnspecified: net.IP.() -> bool
isLoopback: net.IP.() -> bool
isLinkLocalMulticast: net.IP.() -> bool
isLinkLocalUnicast: net.IP.() -> bool
isGlobalUnicast: net.IP.() -> bool
cidr: (string) -> net.CIDR
isCIDR: (string) -> bool
containsIP: net.CIDR.(string) -> bool; net.CIDR.(net.IP) -> bool
containsCIDR: net.CIDR.(string) -> bool; net.CIDR.(net.CIDR) -> bool
masked: net.CIDR.() -> net.CIDR
prefixLength: net.CIDR.() -> int
format.named: (string) -> optional_type(kubernetes.NamedFormat)
validate: kubernetes.NamedFormat.(string) -> optional_type(list(string))
"""
_AUTHORIZER: Final = """
path: kubernetes.authorization.Authorizer.(string) -> kubernetes.authorization.PathCheck
group: kubernetes.authorization.Authorizer.(string) -> kubernetes.authorization.GroupCheck
serviceAccount: kubernetes.authorization.Authorizer.(string, string) -> \
kubernetes.authorization.Authorizer
resource: kubernetes.authorization.GroupCheck.(string) -> kubernetes.authorization.ResourceCheck
check: kubernetes.authorization.PathCheck.(string) -> kubernetes.authorization.Decision
check: kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.Decision
allowed: kubernetes.authorization.Decision.() -> bool
errored: kubernetes.authorization.Decision.() -> bool
error: kubernetes.authorization.Decision.() -> string
reason: kubernetes.authorization.Decision.() -> string
"""
_SELECTED: Final = ("subresource", "namespace", "name", "fieldSelector", "labelSelector")
_FORMATS: Final = (
    *("dns1123Label", "dns1123Subdomain", "dns1035Label", "qualifiedName", "dns1123LabelPrefix"),
    *("dns1123SubdomainPrefix", "dns1035LabelPrefix", "labelValue", "uri", "uuid", "byte", "date"),
    "datetime",
)

TYPE_NAMES: Final = {
    **{name: name for name in (*_NUMBERS, "bool", "string", "bytes", "type")},
    "list": "list(dyn)",
    "map": "map(dyn, dyn)",
    "null_type": "null",
    "google.protobuf.Timestamp": "timestamp",
    "google.protobuf.Duration": "duration",
    "net.IP": "net.IP",
    "net.CIDR": "net.CIDR",
    "kubernetes.Quantity": "kubernetes.Quantity",
    "kubernetes.URL": "kubernetes.URL",
    "kubernetes.Semver": "kubernetes.Semver",
    "optional_type": "optional_type(dyn)",
}
"""Types that a rule may name."""


@cache
def declarations() -> dict[str, list[Overload]]:
    """Every function and operator."""
    found: dict[str, list[Overload]] = {}
    texts = (_OPERATORS, _STANDARD, _TEXTS, _SETS_AND_LISTS, _KUBERNETES, _AUTHORIZER, _made())
    for line in filter(None, "\n".join(texts).splitlines()):
        name, _, overloads = line.partition(": ")
        found.setdefault(name, []).extend(_overload(one) for one in overloads.split("; "))
    return found


def _made() -> str:
    """What is declared alike for many types."""
    lines = []
    for operator in ("_<_", "_<=_", "_>_", "_>=_"):
        pairs = [(one, one) for one in _COMPARED]
        pairs += [(one, other) for one in _NUMBERS for other in _NUMBERS]
        lines += [f"{operator}: ({one}, {other}) -> bool" for one, other in pairs]
    for one in _SORTED:
        lines.append(f"isSorted: list({one}).() -> bool")
        lines.append(f"sort: list({one}).() -> list({one})")
        lines += [f"{name}: list({one}).() -> {one}" for name in ("min", "max")]
    check = "kubernetes.authorization.ResourceCheck"
    lines += [f"{name}: {check}.(string) -> {check}" for name in _SELECTED]
    lines += [f"sum: list({one}).() -> {one}" for one in _SUMMED]
    lines += [f"format.{name}: () -> kubernetes.NamedFormat" for name in _FORMATS]
    return "\n".join(lines)


def _overload(text: str) -> Overload:
    called, _, result = text.partition(" -> ")
    before, inside = _split(called)
    receiver = (parse(before.removesuffix(".")),) if before else ()
    arguments = parse(f"arguments({inside})").of if inside else ()
    return Overload(bool(receiver), (*receiver, *arguments), parse(result))


def _split(called: str) -> tuple[str, str]:
    """`string.(int, int)` -> `string.` and `int, int`: at the bracket that the last one closes."""
    depth = 0
    for index in range(len(called) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(called[index], 0)
        if depth == 0:
            return called[:index], called[index + 1 : -1]
    raise ValueError(called)
