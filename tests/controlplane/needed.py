"""For tests that cannot do without a real control plane."""

import os
from pathlib import Path

import pytest

from tests.controlplane import programs

REQUIRED = "KAITO_REQUIRE_CONTROLPLANE"


def folder() -> Path:
    """Where its programs are. Skips the test where there are none, or fails it if they must be."""
    found = programs.find()
    if found is not None:
        return found
    why = "no real control plane: `make controlplane` builds it"
    if os.environ.get(REQUIRED):
        pytest.fail(why)
    pytest.skip(why)
