"""Tests are quiet: formatting a debug line costs more than the reconcile that it is about."""

import logging

import pytest
import structlog
from hypothesis import settings

# Chance is seeded everywhere, so a run that failed fails again; a busy machine is no failure.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_configure():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    """A program that is run in a test sets logging up for its process, which goes on after it."""
    root = logging.getLogger()
    before, handlers, level = structlog.get_config(), root.handlers[:], root.level
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)
