"""What was recorded of built-in kinds is what a real server says today."""

from contextlib import closing

import pytest

from kaito.apiserver.builtin.library import library
from kaito.apiserver.published import zero_default
from tests.controlplane import record

RECORDED_ELSEWHERE = frozenset({"x-zero", "x-type", "default"})


def published(schema, *, element=False):
    """What OpenAPI told; the rest comes from Go types and probes. Published defaults that a Go type
    tells are not recorded again."""
    out = {word: value for word, value in schema.items() if word not in RECORDED_ELSEWHERE}
    zero = zero_default(schema, element=element)
    if zero is not None:
        out.setdefault("x-default", zero)
    if "properties" in out:
        out["properties"] = {name: published(one) for name, one in out["properties"].items()}
    for word in ("items", "additionalProperties"):
        if isinstance(out.get(word), dict):
            out[word] = published(out[word], element=True)
    return out


@pytest.mark.realtime
@pytest.mark.controlplane
def test_the_recording_is_of_the_real_one(real):
    """Types, keys and strategies, definition by definition."""
    with closing(record.Server(real)) as server:
        found = record.published(server)

    assert set(found) == {name for name in found if library().has(name)}
    for name, schema in found.items():
        assert published(library().raw(name)) == schema, name
