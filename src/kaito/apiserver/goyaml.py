"""YAML as the server's Go library reads it: by version 1.1, where `y` is true."""

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml


def load(text: bytes) -> tuple[Any, list[str]]:
    """The value, and `line 3: key "a" already set in map` for every key that a map has twice.

    Raises yaml.YAMLError.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, []
        return loader.construct_document(node), list(_repeated(node))
    finally:
        loader.dispose()


class _Loader(yaml.CSafeLoader):
    """Plain values only; one letter is a boolean too."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^[yYnN]$"), list("yYnN"))
_LETTERS: Final = {"y": True, "n": False}


def _boolean(loader: yaml.CSafeLoader, node: yaml.ScalarNode) -> bool:
    letter = _LETTERS.get(node.value.lower())
    return loader.construct_yaml_bool(node) if letter is None else letter


_Loader.add_constructor("tag:yaml.org,2002:bool", _boolean)


def _repeated(node: yaml.Node) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                yield f'line {key.start_mark.line + 1}: key "{name}" already set in map'
            seen.add(name)
            yield from _repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated(item)
