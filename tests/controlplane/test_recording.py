"""What was recorded of built-in kinds is what a real server says today."""

from contextlib import closing

import pytest

from kaito.apiserver.builtin.library import library
from tests.contract.apiserver.real import plane
from tests.controlplane import needed, record

RECORDED_ELSEWHERE = frozenset({"x-zero", "x-type", "default"})


def published(schema):
    """What OpenAPI told; the rest comes from Go types and probes."""
    if isinstance(schema, dict):
        return {k: published(v) for k, v in schema.items() if k not in RECORDED_ELSEWHERE}
    return [published(item) for item in schema] if isinstance(schema, list) else schema


@pytest.mark.realtime
@pytest.mark.controlplane
def test_the_recorded_definitions_are_fresh():
    """Types, keys and strategies, definition by definition."""
    with plane(needed.folder()) as up, closing(record.Server(up)) as server:
        found = record.published(server)

    assert set(found) == {name for name in found if library().has(name)}
    for name, schema in found.items():
        assert published(library().raw(name)) == published(schema), name
