"""What kubectl printed, without what chance, time, the machine or its own version decides.

Columns are no longer aligned: their width depends on what stood in them. Uids and the hashes of
templates are told apart by the order in which a session first shows them.
"""

import re
from dataclasses import dataclass, field

_DRAWN = "[bcdfghjklmnpqrstvwxz2456789]"
"""What Kubernetes draws names from: no vowels, so that no word comes of it."""

_DURATION = r"(?:\d+[smhdy]){1,2}"
_AGED = re.compile(r"(?:^|\s\s)(?:AGE|LAST SEEN|DURATION|Age|FIRST SEEN)(?:\s\s|\s*$)")
_CELL = re.compile(rf"(?:(?<=\s\s)|^){_DURATION}(?: \(x\d+ over {_DURATION}\))?(?=\s\s|$)")
_AGO = re.compile(rf"\({_DURATION} ago\)")

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.MULTILINE), told)
    for pattern, told in (
        (r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", "<time>"),
        (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} 20\d\d \d\d:\d\d:\d\d [+-]\d{4}", "<time>"),
        (r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}", "<time>"),
        (r"^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ", "<log> "),
        (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "<token>"),
        (r"-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----", "<certificate>"),
        (r"(https?://)(?:127\.0\.0\.1|localhost):\d+", r"\1<server>"),
        (r"127\.0\.0\.1:\d+", "<server>"),
        (r"((?:resourceVersion|Resource Version)\"?: *\"?)\d+", r"\1<version>"),
        (r"(\"serverAddress\":\")[^\"]+", r"\1<server>"),
        (r"(?<=[a-z0-9>]\.)[0-9a-f]{16}\b", "<drawn>"),
        (r"\b10\.(?:96|244)\.(?!0\.1\b)\d+\.\d+", "<ip>"),
        (r"(:|\bNodePort:\s+\S+\s+)3\d{4}/", r"\1<port>/"),
        (r"(nodePort\"?: ?)3\d{4}", r"\1<port>"),
        (r"/\S*/((?:LIVE|MERGED)-)\d+/", r"/\1<n>/"),
        (r"in [\d.]+m?s \([\d.]+m?s including waiting\)", "in <time>"),
        (r"^(Duration: +)\S+", r"\1<age>"),
        (r"simulated://[0-9a-f]{64}", "simulated://<container>"),
        (r"\+kaito-(?:embedded|simulated)", ""),
        (r"kaito-control-plane", "kube-controller-manager"),
    )
)
_CLIENTS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.MULTILINE), told)
    for pattern, told in (
        (r" deleted from \S+ namespace", " deleted"),
        (r"^Warning: resource \S+ was previously managed with 'kubectl apply'\. Rol.*\n?", ""),
        (r"^WARNING: version difference between client.*\n?", ""),
        (r"^ *(?:Kube-Proxy Version|Mountable secrets|Tokens):.*\n?", ""),
        (r"^ *creationTimestamp: null\n?", ""),
        (r"^( *)(?:ConfigMapOptional: +<nil>|Optional: +false)$", r"\1Optional: false"),
        (r"^All commands and output from this session will be recorded.*\n?", ""),
        (r"^--profile=legacy is deprecated.*\n?", ""),
        (r"^error: unable to upgrade connection", "Error from server (NotImplemented)"),
        (r"(upgrading connection: )unable to upgrade connection: ", r"\1"),
        (r"\bkubectl\.\d\.\d+ ", "kubectl "),
        (r"cannot delete cannot delete", "cannot delete"),
        (r"(is not valid for pod \S+) out of: .*", r"\1"),
    )
)
"""What versions of kubectl say differently about the same answers of a server."""
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HASH = re.compile(rf"(?<=[-=: ]){_DRAWN}{{6,10}}(?![\w.])")
_SUFFIX = re.compile(rf"(?<=[a-z0-9>]-){_DRAWN}{{5}}(?![\w.])(?<!-https)")
_GAP = re.compile(r"(?<=\S) {2,}(?=\S)")


@dataclass
class Plain:
    """One session's memory of what it has seen."""

    seen: dict[str, dict[str, str]] = field(default_factory=dict)

    def text(self, text: str) -> str:
        text = _without_ages(text)
        for pattern, told in (*_RULES, *_CLIENTS):
            text = pattern.sub(told, text)
        text = _UID.sub(lambda found: self._ordinal("uid", found[0]), text)
        text = _HASH.sub(lambda found: self._ordinal("hash", found[0]), text)
        text = _SUFFIX.sub("<drawn>", text)
        lines = [_GAP.sub("  ", line).rstrip() for line in text.splitlines()]
        return "".join(f"{line}\n" for line in _in_order(lines))

    def _ordinal(self, kind: str, value: str) -> str:
        known = self.seen.setdefault(kind, {})
        return known.setdefault(value, f"<{kind} {len(known) + 1}>")


def _without_ages(text: str) -> str:
    """Ages stand in tables that have a column for them, and after restarts."""
    lines, aged = [], False
    for line in text.splitlines():
        aged = bool(_AGED.search(line)) or (aged and bool(line.strip()))
        lines.append(_AGO.sub("(<age> ago)", _CELL.sub("<age>", line) if aged else line))
    return "\n".join(lines)


def _in_order(lines: list[str]) -> list[str]:
    """Causes of a refusal stand in any order; events of the same second do too."""
    found: list[str] = []
    row, events = 0, False
    for line in lines:
        events = line.startswith("  ----  ------  ") or (events and line.startswith("  "))
        movable = line.startswith(("* ", "  .")) or (events and not line.startswith("  ---"))
        row = row + 1 if movable else 0
        found.append(line)
        found[len(found) - row :] = sorted(found[len(found) - row :])
    return found
