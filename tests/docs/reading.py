"""The project's pages, taken apart."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, the words after it, its lines."""

    page: Path
    language: str
    words: tuple[str, ...]
    text: str


def blocks(page: Path) -> Iterator[Block]:
    for found in _FENCE.finditer(page.read_text(encoding="utf-8")):
        language, *words = found["info"].split() or [""]
        yield Block(page, language, tuple(words), found["body"])


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    return [found["target"] for found in _LINK.finditer(prose(page))]


def anchors(page: Path) -> set[str]:
    """The anchors of headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the tables below a heading, head lines left out."""
    parts = re.split(r"^(#+ .+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (body,) = [text for head, text in zip(parts[1::2], parts[2::2], strict=True) if heading in head]
    lines = [*(line for line in body.splitlines() if line.startswith("|")), ""]
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line, below in pairwise(lines)
        if not _is_rule(line) and not _is_rule(below)
    ]


def _is_rule(line: str) -> bool:
    """The line between the head of a table and its rows."""
    return bool(line) and set(line) <= set("|-: ")
