"""What `-f` names: files, directories, URLs and stdin, as objects that know their lines."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import yaml

from kaito.cli.failure import UNREACHABLE, USAGE, Failure
from kaito.kube.objects import Json

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
"""What is read of a directory; the same as kubectl."""

URL_TIMEOUT = 30.0
"""Seconds."""

LineOf = dict[tuple[str | int, ...], int]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One object of one file."""

    source: str
    obj: Json
    lines: LineOf
    repeated: tuple[tuple[str, int], ...] = ()
    """Keys that stand twice in one mapping, with their lines."""

    def line(self, path: str) -> int:
        """The line of a dotted field path, or of the nearest field above it that is there."""
        parts = _split(path)
        while parts and parts not in self.lines:
            parts = parts[:-1]
        return self.lines.get(parts, 1)

    @property
    def name(self) -> str:
        return str((self.obj.get("metadata") or {}).get("name") or "")

    @property
    def kind(self) -> str:
        return str(self.obj.get("kind") or "")


def _split(path: str) -> tuple[str | int, ...]:
    """`a.b[0].c` and `metadata.annotations[some/key]` as steps."""
    steps: list[str | int] = []
    for part in path.replace("]", "").replace("[", "\0").split("\0"):
        words = [part] if steps and "/" in part else part.split(".")
        steps.extend(int(word) if word.isdigit() else word for word in words if word)
    return tuple(steps)


def documents(names: Sequence[str]) -> list[Document]:
    """Every object of every `-f`, in order.

    Raises Failure for what cannot be read or is not YAML, naming file and line.
    """
    found = [document for name in names for document in _of(name)]
    if not found:
        raise Failure(f"nothing in {', '.join(names) or 'no -f'}", USAGE)
    return found


def _of(name: str) -> Iterator[Document]:
    for source, text in _texts(name):
        yield from parse(source, text)


def _texts(name: str) -> Iterator[tuple[str, str]]:
    if name == "-":
        yield "<stdin>", sys.stdin.read()
        return
    if urlsplit(name).scheme in ("http", "https"):
        yield name, _fetch(name)
        return
    path = Path(name)
    files = [path]
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
    for file in files:
        try:
            yield str(file), file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise Failure(f"{file}: {reason}", USAGE) from error


def _fetch(url: str) -> str:
    try:
        with urlopen(url, timeout=URL_TIMEOUT) as answer:  # noqa: S310 - http and https only
            return str(answer.read().decode("utf-8"))
    except (URLError, OSError, UnicodeDecodeError) as error:
        raise Failure(f"{url}: {error}", UNREACHABLE) from error


def parse(source: str, text: str) -> list[Document]:
    """The objects of one text. Raises Failure with the line where it is not YAML."""
    loader = yaml.CSafeLoader(text)
    found = []
    try:
        while loader.check_node():
            node = loader.get_node()
            obj = None if node is None else loader.construct_document(node)
            if node is None or obj is None:
                continue
            if not isinstance(obj, dict):
                line = node.start_mark.line + 1
                raise Failure(f"{source}:{line}: a {type(obj).__name__}, not a Kubernetes object")
            lines: LineOf = {}
            repeated: list[tuple[str, int]] = []
            _index(node, (), lines, repeated)
            found.append(Document(source=source, obj=obj, lines=lines, repeated=tuple(repeated)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise Failure(f"{source}:{line}: not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise Failure(f"{source}: not YAML: {error}") from error
    finally:
        loader.dispose()
    return found


def _index(
    node: Any, path: tuple[str | int, ...], lines: LineOf, repeated: list[tuple[str, int]]
) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                repeated.append((".".join(map(str, (*path, key.value))), key.start_mark.line + 1))
            seen.add(key.value)
            lines[(*path, key.value)] = key.start_mark.line + 1
            _index(value, (*path, key.value), lines, repeated)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _index(value, (*path, index), lines, repeated)
