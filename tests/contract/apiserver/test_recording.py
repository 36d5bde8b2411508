"""What was recorded of built-in kinds is what a real server says today."""

from contextlib import closing

import pytest

from kaito.apiserver.builtin.library import library
from tests.controlplane import record

RECORDED_ELSEWHERE = frozenset({"x-zero", "x-type", "default"})


def published(schema):
    """What OpenAPI told; the rest comes from Go types and probes."""
    if isinstance(schema, dict):
        return {k: published(v) for k, v in schema.items() if k not in RECORDED_ELSEWHERE}
    return [published(item) for item in schema] if isinstance(schema, list) else schema


@pytest.mark.realtime
@pytest.mark.controlplane
def test_the_recording_is_of_the_real_one(real):
    """Types, keys and strategies, definition by definition."""
    with closing(record.Server(real)) as server:
        found = record.published(server)

    assert set(found) == {name for name in found if library().has(name)}
    for name, schema in found.items():
        assert published(library().raw(name)) == published(schema), name
