"""Log lines of these tests are kept in memory."""

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
    structlog.configure(processors=[add_context, capture], cache_logger_on_first_use=False)
    yield captured
    structlog.configure(**before)
