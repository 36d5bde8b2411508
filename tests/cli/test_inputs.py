"""What `-f` may name, and that every object knows its lines."""

import io
import sys

import pytest

from kaito.cli.failure import USAGE, Failure
from kaito.cli.inputs import documents, parse

TEXT = """\
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata:
  name: w
  annotations:
    kaito.sh/runtime: vllm
resource:
  labelSelector: {matchLabels: {a: b}}
tuning:
  input:
    urls:
      - https://example.com/1
      - https://example.com/2
---
kind: Other
"""


def test_fields_know_their_lines():
    """A dotted path, an index and a bracketed annotation key all lead to the right line."""
    first, second = parse("f.yaml", TEXT)

    assert first.line("metadata.name") == 4
    assert first.line("metadata.annotations[kaito.sh/runtime]") == 6
    assert first.line("tuning.input.urls[1]") == 13
    assert second.line("kind") == 15


def test_a_missing_field_is_shown_at_the_nearest_one_above():
    """A problem with a field that is not there points to where it should stand."""
    (first, _) = parse("f.yaml", TEXT)

    assert first.line("tuning.output.image") == 9


def test_what_is_not_yaml_is_told_with_its_line():
    """A syntax error names file and line."""
    with pytest.raises(Failure, match=r"f\.yaml:3: not YAML"):
        parse("f.yaml", "a: 1\nb: [1,\n")


def test_a_scalar_is_not_an_object():
    """A document that is no mapping is refused with its line."""
    with pytest.raises(Failure, match=r"f\.yaml:3: a str, not a Kubernetes object"):
        parse("f.yaml", "kind: A\n---\nhello\n")


def test_repeated_keys_are_found():
    """A key that stands twice in one mapping is reported, as the API server refuses it."""
    (document,) = parse("f.yaml", "metadata:\n  name: a\n  name: b\n")

    assert document.repeated == (("metadata.name", 3),)


def test_a_directory_gives_its_files_in_order(tmp_path):
    """A directory stands for its YAML and JSON files, sorted, nothing else."""
    (tmp_path / "b.yaml").write_text("kind: B\n")
    (tmp_path / "a.json").write_text('{"kind": "A"}')
    (tmp_path / "notes.txt").write_text("not: read")

    assert [d.kind for d in documents([str(tmp_path)])] == ["A", "B"]


def test_a_missing_file_is_a_usage_error():
    """A file that is not there is named, with exit code 2."""
    with pytest.raises(Failure, match=r"nowhere\.yaml: No such file") as failure:
        documents(["nowhere.yaml"])

    assert failure.value.code == USAGE


def test_a_dash_is_stdin(monkeypatch):
    """`-f -` reads stdin."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("kind: A\n"))

    assert [d.kind for d in documents(["-"])] == ["A"]
