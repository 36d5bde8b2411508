"""Log lines of these tests are kept in memory."""

import logging

import pytest
import structlog

from kaito.framework.logging import add_context


@pytest.fixture(autouse=True)
def lines():
    """Every log line of the test, with the context that production adds."""
    captured = []

    def capture(_logger, method, event):
        captured.append({**event, "level": method})
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[add_context, capture],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        cache_logger_on_first_use=False,
    )
    yield captured
    structlog.configure(**before)
