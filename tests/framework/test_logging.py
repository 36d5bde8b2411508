"""Log lines as the process writes them."""

import io
import json
import logging

import pytest
import structlog

from kaito.framework.logging import configure_logging
from kaito.framework.reconcile import current_controller, current_key, current_kind, reconcile_id
from kaito.kube.objects import ObjectKey


@pytest.fixture
def out():
    """Where lines go; the process's own settings are put back."""
    root = logging.getLogger()
    before, level, config = root.handlers[:], root.level, structlog.get_config()
    yield io.StringIO()
    root.handlers[:] = before
    root.setLevel(level)
    structlog.configure(**config)


async def enter_a_run():
    current_controller.set("widgets")
    current_kind.set("Widget")
    current_key.set(ObjectKey("default", "a"))
    reconcile_id.set("0123")


RUN = {
    "controller": "widgets",
    "kind": "Widget",
    "key": "default/a",
    "reconcile_id": "0123",
}


async def test_s57_lines_of_libraries_carry_the_run_too(out):
    """Standard `logging`, which libraries use, comes out in the same form with the same context."""
    configure_logging("json", stream=out)
    await enter_a_run()

    structlog.get_logger("own").info("made a pool", pool="p1")
    logging.getLogger("library").warning("slow %s", "answer")

    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [{name: line[name] for name in RUN} for line in lines] == [RUN, RUN]
    assert [(line["msg"], line["level"]) for line in lines] == [
        ("made a pool", "info"),
        ("slow answer", "warning"),
    ]
    assert lines[0]["pool"] == "p1"
    assert lines[0]["ts"].endswith("Z")


async def test_levels_below_the_chosen_one_are_dropped(out):
    """Debug lines cost next to nothing when they are off; libraries are heard from warnings on."""
    configure_logging("json", level=logging.INFO, stream=out)

    structlog.get_logger("own").debug("no")
    logging.getLogger("library").info("no")
    structlog.get_logger("own").info("yes")

    assert [json.loads(line)["msg"] for line in out.getvalue().splitlines()] == ["yes"]


async def test_a_traceback_is_part_of_its_line_and_shows_no_values(out):
    """One JSON line per event, and no local variables: they may hold secrets."""
    configure_logging("json", stream=out)
    try:
        secret = "hunter" + "2"
        raise ValueError("broken")
    except ValueError as error:
        structlog.get_logger("own").error("reconcile failed", exc_info=error)

    (line,) = [json.loads(line) for line in out.getvalue().splitlines()]
    assert "ValueError: broken" in line["exception"]
    assert secret not in line["exception"]


async def test_the_console_form_is_for_people(out):
    """Message first, then key=value; tracebacks without local variables."""
    configure_logging("console", stream=out)
    await enter_a_run()
    try:
        secret = "hunter" + "2"
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger("own").exception("reconcile failed", pool="p1")

    text = out.getvalue()
    assert "reconcile failed" in text
    assert "pool=p1" in text
    assert "key=default/a" in text
    assert secret not in text
