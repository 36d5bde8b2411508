"""Probes and metrics, and their endpoints."""

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from kaito.framework.endpoints import parse_address, serving
from kaito.framework.metrics import Metrics
from kaito.framework.probes import probe, probe_one


def broken():
    raise ValueError("with details that nobody outside should see")


CHECKS = {"ping": lambda: None, "caches": lambda: "pods: forbidden", "odd": broken}


def test_s74_all_checks_must_pass():
    """One failing check makes the answer 500 and names itself and its reason."""
    assert probe("healthz", {"ping": CHECKS["ping"]}) == (200, "ok")
    assert probe("readyz", CHECKS) == (
        500,
        """[+]ping ok
[-]caches failed: pods: forbidden
[-]odd failed: the check raised ValueError
readyz check failed
""",
    )


def test_s74_verbose_lists_the_checks_and_exclude_leaves_some_out():
    """As `kubectl get --raw '/readyz?verbose'` shows them; a wrong name is mentioned."""
    assert probe("readyz", CHECKS, exclude=["caches", "odd"], verbose=True) == (
        200,
        "[+]ping ok\n[+]caches excluded: ok\n[+]odd excluded: ok\nreadyz check passed\n",
    )
    status, text = probe("readyz", {"ping": CHECKS["ping"]}, exclude=["none"], verbose=True)
    assert status == 200
    assert 'cannot be excluded: no matches for "none"' in text


def test_s74_a_single_check_can_be_asked():
    """/healthz/NAME: 200, 500 with the reason, or 404."""
    assert probe_one(CHECKS, "ping") == (200, "ok")
    assert probe_one(CHECKS, "caches") == (500, "pods: forbidden\n")
    assert probe_one(CHECKS, "none")[0] == 404


@pytest.mark.parametrize(
    ("address", "parsed"),
    [
        (":8080", (None, 8080)),
        ("10.0.0.1:1", ("10.0.0.1", 1)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9", ("::1", 9)),
    ],
)
def test_bind_addresses_are_written_as_go_writes_them(address, parsed):
    """host:port, where the host may be missing."""
    assert parse_address(address) == parsed


@pytest.mark.parametrize("address", ["8080", "localhost", "a:b"])
def test_a_wrong_bind_address_is_refused(address):
    """With a message that quotes it."""
    with pytest.raises(ValueError, match=address):
        parse_address(address)


@pytest.mark.realtime
async def test_s74_endpoints_answer_over_http():
    """/healthz, /readyz?verbose, /healthz/NAME and /metrics; nothing else."""
    registry = CollectorRegistry()
    Metrics(registry).controller("widgets", 3)
    probes = {"healthz": {"ping": CHECKS["ping"]}, "readyz": CHECKS}
    async with (
        serving(
            metrics_address="127.0.0.1:0",
            health_address="127.0.0.1:0",
            registry=registry,
            probes=probes,
        ) as bound,
        aiohttp.ClientSession() as session,
    ):
        assert bound.metrics == bound.health
        answers = {}
        for path in ("healthz", "readyz?verbose&exclude=odd", "healthz/ping", "metrics", "debug"):
            async with session.get(f"http://{bound.health}/{path}") as response:
                answers[path] = (response.status, await response.text())

    assert answers["healthz"] == (200, "ok")
    assert answers["readyz?verbose&exclude=odd"][0] == 500
    assert answers["healthz/ping"] == (200, "ok")
    assert answers["debug"][0] == 404
    text = answers["metrics"][1]
    assert 'controller_runtime_max_concurrent_reconciles{controller="widgets"} 3' in text
    assert "_created" not in text


@pytest.mark.realtime
async def test_an_address_in_use_is_an_error_of_the_start():
    """Nothing is left open."""
    empty = {"registry": CollectorRegistry(), "probes": {}, "health_address": ""}
    async with serving(metrics_address="127.0.0.1:0", **empty) as bound:
        with pytest.raises(OSError, match="address already in use"):
            async with serving(metrics_address=bound.metrics, **empty):
                pass


def test_two_managers_in_one_process_have_registries_of_their_own():
    """Nothing is registered for the process as a whole."""
    for _ in range(2):
        Metrics(CollectorRegistry())
