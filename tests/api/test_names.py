"""Names are a contract, so each is explained."""

import ast
from pathlib import Path

from kaito.api import names


def test_every_name_has_its_sentence() -> None:
    """Each constant of each class of names is followed by what it means."""
    tree = ast.parse(Path(names.__file__).read_text(encoding="utf-8"))
    silent = []
    for group in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for index, node in enumerate(group.body):
            if not isinstance(node, ast.AnnAssign):
                continue
            after = group.body[index + 1] if index + 1 < len(group.body) else None
            if not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)):
                silent.append(ast.unparse(node.target))
    assert silent == []


def test_reasons_are_words_the_api_server_accepts() -> None:
    """A condition's reason starts with a letter and has no spaces."""
    values = [value for name, value in vars(names.Reason).items() if not name.startswith("_")]
    assert all(value.isidentifier() for value in values)
