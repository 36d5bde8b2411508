"""Tests are quiet: formatting a debug line costs more than the reconcile that it is about."""

import logging
import re

import pytest
import structlog
from hypothesis import settings

# Chance is seeded everywhere, so a run that failed fails again; a busy machine is no failure.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


_TOGETHER = (
    ("tests/e2e/", "a cluster"),
    ("tests/deploy/test_real", "an installation"),
    ("tests/contract/kubectl/.*::.*real", "a control plane for kubectl"),
    ("tests/contract/kubectl/.*::.*embedded", "an embedded cluster for kubectl"),
    ("tests/contract/workloads/.*::.*real", "a control plane for workloads"),
    ("tests/contract/.*::.*real", "a real API server"),
    ("tests/cli/test_(demo|up)|tests/docs/test_seed", "the processors: programs run in them"),
)
"""What tests share that takes long to start, and which tests do."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Tests that share something go to one worker, one after the other, and before all others."""
    from xdist.scheduler import LoadScopeScheduling

    class Sharing(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return next((what for which, what in _TOGETHER if re.match(which, nodeid)), nodeid)

    return Sharing(config, log)


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
