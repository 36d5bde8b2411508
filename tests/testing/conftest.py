"""What goes wrong on purpose is not printed."""

import pytest
import structlog


@pytest.fixture(autouse=True)
def quiet():
    def drop(_logger, _method, _event):
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[drop], cache_logger_on_first_use=False)
    yield
    structlog.configure(**before)
