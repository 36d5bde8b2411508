"""The webhook server: reviews in, answers out."""

import asyncio
import base64
import gc
import json
import ssl
from contextlib import suppress
from datetime import UTC, datetime

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from kaito.apiserver.certificates import Authority
from kaito.framework.webhooks.admission import Allowed, Denied, Mutated
from kaito.framework.webhooks.conversion import (
    CannotConvert,
    Conversions,
    HubAndSpokes,
    Spoke,
)
from kaito.framework.webhooks.difference import difference
from kaito.framework.webhooks.files import FileCertificates
from kaito.framework.webhooks.measures import WebhookMetrics
from kaito.framework.webhooks.server import WebhookOptions, WebhookServer, seconds
from kaito.kube.clock import LoopClock, SystemClock
from kaito.kube.patches import json_patch
from kaito.kube.servertls import load, server_context


class Fixed:
    """One certificate for ever."""

    def __init__(self, pair=None):
        self.context = server_context()
        if pair is not None:
            load(self.context, pair.certificate, pair.key)

    def problem(self):
        return None

    async def run(self):
        pass


def server(registry=None, pair=None, clock=None, drain=10.0):
    return WebhookServer(
        Fixed(pair),
        clock=clock or LoopClock(),
        registry=registry or CollectorRegistry(),
        options=WebhookOptions(bind_address="127.0.0.1:0", drain_seconds=drain),
    )


def review(**request):
    request = {
        "uid": "u1",
        "kind": {"group": "example.com", "version": "v1", "kind": "Teapot"},
        "resource": {"group": "example.com", "version": "v1", "resource": "teapots"},
        "name": "t",
        "namespace": "n",
        "operation": "CREATE",
        "userInfo": {"username": "ann", "uid": "7", "groups": ["cooks"]},
        "object": {"metadata": {"name": "t"}, "spec": {"size": 1, "unknown": {"a": [1, None]}}},
        "oldObject": None,
        "dryRun": True,
        **request,
    }
    head = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
    return json.dumps({**head, "request": request}).encode()


async def ask(server, path, body, timeout=""):
    answer = await server.answer(path, body, timeout)
    assert answer.status == 200, answer
    return json.loads(answer.body)["response"]


async def test_a_validator_sees_what_is_asked_and_its_answer_goes_back():
    """Operation, objects, user, dry run; allowed or denied with warnings, under the same uid."""
    seen = []

    def check(request):
        seen.append(request)
        if request.object["spec"]["size"] > 2:
            return Denied("too big", reason="Invalid", code=422, warnings=("mind the size",))
        return Allowed(warnings=("old field",))

    hooks = server()
    hooks.validate("/v", check)
    assert await ask(hooks, "/v", review()) == {
        "uid": "u1",
        "allowed": True,
        "warnings": ["old field"],
    }
    assert await ask(hooks, "/v", review(object={"spec": {"size": 3}}), "10s") == {
        "uid": "u1",
        "allowed": False,
        "status": {"status": "Failure", "message": "too big", "reason": "Invalid", "code": 422},
        "warnings": ["mind the size"],
    }
    request = seen[1]
    assert (request.operation, request.kind, request.key) == ("CREATE", "Teapot", ("n", "t"))
    assert (request.user.name, request.user.groups, request.dry_run) == ("ann", ("cooks",), True)
    assert (request.old_object, request.timeout) == (None, 10.0)


async def test_a_mutator_changes_a_copy_and_unknown_fields_survive():
    """The patch is the difference of raw and raw: nothing that the handler left alone is in it."""

    def fill(request):
        request.object["spec"]["color"] = "white"
        return Mutated(object=request.object)

    hooks = server()
    hooks.mutate("/m", fill)
    response = await ask(hooks, "/m", review())
    assert response["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(response["patch"])) == [
        {"op": "add", "path": "/spec/color", "value": "white"}
    ]


async def test_a_mutator_that_changes_nothing_sends_no_patch():
    """Neither when it answers Allowed (whatever it did to its copy), nor with an equal object."""

    async def scribble(request):
        request.object["spec"] = {}
        return Allowed()

    hooks = server()
    hooks.mutate("/scribble", scribble)
    hooks.mutate("/same", lambda request: Mutated(object=request.object))
    assert await ask(hooks, "/scribble", review()) == {"uid": "u1", "allowed": True}
    assert await ask(hooks, "/same", review()) == {"uid": "u1", "allowed": True}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.text("a/~", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("a/~01", max_size=2), inner)
    ),
    max_leaves=12,
)


@given(old=JSON, new=JSON)
def test_the_difference_of_two_values_makes_one_of_the_other(old, new):
    """For any JSON, with `true` and 1 told apart."""
    old, new = {"x": old}, {"x": new}
    made = json_patch(old, difference(old, new))
    assert json.dumps(made, sort_keys=True) == json.dumps(new, sort_keys=True)
    assert difference(new, new) == []


def broken(request):
    raise KeyError("with details that nobody outside should see")


async def test_an_exception_is_a_500_for_that_request_and_is_counted():
    """The next request is answered; the text of the exception is not shown. So is a wrong type."""
    registry = CollectorRegistry()
    hooks = server(registry)
    hooks.validate("/bad", broken)
    hooks.validate("/odd", lambda request: True)
    hooks.validate("/good", lambda request: Allowed())
    answer = await hooks.answer("/bad", review())
    assert (answer.status, answer.body) == (500, b"the webhook failed\n")
    assert (await hooks.answer("/odd", review())).status == 500
    assert (await hooks.answer("/good", review())).status == 200
    value = registry.get_sample_value
    assert value("controller_runtime_webhook_panics_total") == 2
    assert value("controller_runtime_conversion_webhook_panics_total") == 0
    bad = {"webhook": "/bad"}
    assert value("controller_runtime_webhook_requests_total", {**bad, "code": "500"}) == 1
    assert value("controller_runtime_webhook_requests_total", {**bad, "code": "200"}) == 0
    assert value("controller_runtime_webhook_requests_in_flight", bad) == 0
    assert value("controller_runtime_webhook_latency_seconds_count", bad) == 1


async def test_the_deadline_of_a_handler_is_that_of_the_review():
    """`?timeout=` says how long the API server waits; the handler is cancelled then."""
    clock, ended = LoopClock(), []

    async def slow(request):
        try:
            await clock.sleep(60)
        finally:
            ended.append(clock.monotonic())
        return Allowed()

    hooks = server(clock=clock)
    hooks.validate("/slow", slow)
    start = clock.monotonic()
    answer = await hooks.answer("/slow", review(), "1m5s")
    assert answer.status == 200
    answer = await hooks.answer("/slow", review(), "2.5s")
    assert (answer.status, ended) == (504, [start + 60, start + 62.5])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10s", 10), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600), ("", None), ("10", None)],
)
def test_durations_are_read_as_go_writes_them(text, expected):
    """What is none is no deadline."""
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1]", b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}']
)
async def test_what_is_no_review_is_refused(body):
    """400 with the reason; a path that nobody registered is 404."""
    hooks = server()
    hooks.validate("/v", lambda request: Allowed())
    assert (await hooks.answer("/v", body)).status == 400
    assert (await hooks.answer("/w", review())).status == 404
    with pytest.raises(ValueError, match="/v"):
        hooks.mutate("/v", lambda request: Allowed())


# ---- conversion: a kind of kettles, once with litres, once with cups, once with both


def to_cups(obj):
    obj["spec"]["cups"] = obj["spec"].pop("litres") * 4
    obj["metadata"]["labels"] = {"unit": "cups"}
    obj["metadata"]["name"] = "no conversion may change this"
    return obj


def to_litres(obj):
    obj["spec"]["litres"] = obj["spec"].pop("cups") // 4
    return obj


KETTLES = HubAndSpokes(
    group="example.com",
    kind="Kettle",
    hub="v2",
    spokes={
        "v1": Spoke(to_hub=to_cups, from_hub=to_litres),
        "v3": Spoke(
            to_hub=lambda obj: {**obj, "spec": obj["spec"]["in"]},
            from_hub=lambda obj: {**obj, "spec": {"in": obj["spec"]}},
        ),
    },
)


def kettle(version, **spec):
    return {
        "apiVersion": f"example.com/{version}",
        "kind": "Kettle",
        "metadata": {"name": "k", "uid": "x", "annotations": {"a": "b"}},
        "spec": spec,
    }


def conversion_review(desired, *objects):
    return json.dumps(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "ConversionReview",
            "request": {"uid": "c1", "desiredAPIVersion": desired, "objects": objects},
        }
    ).encode()


async def test_every_version_converts_to_every_other_through_the_hub():
    """Two functions a version; metadata stays, but for labels and annotations."""
    hooks = server()
    hooks.convert("/convert", Conversions(KETTLES))
    body = conversion_review("example.com/v3", kettle("v1", litres=2), kettle("v2", cups=4))
    response = await ask(hooks, "/convert", body)
    assert response["uid"] == "c1"
    assert response["result"] == {"status": "Success"}
    first, second = response["convertedObjects"]
    assert (first["apiVersion"], first["spec"]) == ("example.com/v3", {"in": {"cups": 8}})
    assert first["metadata"] == {
        "name": "k",
        "uid": "x",
        "labels": {"unit": "cups"},
        "annotations": {"a": "b"},
    }
    assert second["spec"] == {"in": {"cups": 4}}


def test_conversion_there_and_back_is_the_same_object():
    """And converting never edits its argument."""
    obj = kettle("v3", **{"in": {"cups": 12}})
    there = KETTLES.convert(obj, "example.com/v1")
    assert there["spec"] == {"litres": 3}
    assert KETTLES.convert(there, "example.com/v3")["spec"] == obj["spec"]
    assert KETTLES.convert(obj, "example.com/v3") == obj


async def test_what_cannot_be_converted_fails_with_a_message():
    """An unknown kind or version is a Failure; an exception in a function is a counted 500."""
    registry = CollectorRegistry()
    hooks = server(registry)
    hooks.convert("/convert", Conversions(KETTLES))
    for desired, obj in (
        ("example.com/v9", kettle("v1", litres=1)),
        ("example.com/v1", {**kettle("v2"), "kind": "Pan"}),
    ):
        response = await ask(hooks, "/convert", conversion_review(desired, obj))
        assert response["result"]["status"] == "Failure"
        assert response["result"]["message"]
    answer = await hooks.answer("/convert", conversion_review("example.com/v2", kettle("v1")))
    assert (answer.status, answer.body) == (500, b"the webhook failed\n")
    value = registry.get_sample_value
    assert value("controller_runtime_conversion_webhook_panics_total") == 1
    assert value("controller_runtime_webhook_panics_total") == 0
    with pytest.raises(CannotConvert):
        Conversions().convert(kettle("v1"), "example.com/v2")


# ---- over HTTPS


def pair(authority):
    return authority.server(["127.0.0.1", "localhost"])


def trusting(authority):
    return ssl.create_default_context(cadata=authority.pem.decode())


async def post(session, address, path, body, authority):
    url = f"https://{address}{path}"
    headers = {"content-type": "application/json"}
    async with session.post(url, data=body, headers=headers, ssl=trusting(authority)) as response:
        return response.status, await response.read()


@pytest.mark.realtime
async def test_reviews_are_answered_over_https():
    """With the certificate given; anything but JSON is refused; ready only while listening."""
    authority = Authority(SystemClock())
    hooks = server(pair=pair(authority), clock=SystemClock())
    hooks.validate("/v", lambda request: Allowed())
    assert hooks.unready() == "not listening"
    async with hooks.serving() as address, aiohttp.ClientSession() as session:
        assert hooks.unready() is None
        status, body = await post(session, address, "/v?timeout=5s", review(), authority)
        assert (status, json.loads(body)["response"]["allowed"]) == (200, True)
        assert (await post(session, address, "/none", review(), authority))[0] == 404
        async with session.post(f"https://{address}/v", data=b"x", ssl=False) as response:
            assert response.status == 415
    assert hooks.unready() == "not listening"


@pytest.mark.realtime
async def test_who_keeps_a_connection_does_not_keep_the_server():
    """API servers do, and take no part in closing it: at the stop it is cut at once, however long
    requests in progress would get, and no socket is left (the warning of one would fail this)."""
    authority = Authority(SystemClock())
    hooks = server(pair=pair(authority), clock=SystemClock(), drain=3600)
    async with hooks.serving() as address:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(
            host, int(port), ssl=trusting(authority), server_hostname="localhost"
        )
        assert not reader.at_eof()
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.transport.abort()
    gc.collect()


@pytest.mark.realtime
async def test_a_request_in_progress_is_answered_before_the_stop(monkeypatch):
    """Whoever waits for it would have to fail a write otherwise."""
    monkeypatch.setattr("kaito.framework.webhooks.server._GOODBYE_SECONDS", 0.001)
    authority, asked, stopping = Authority(SystemClock()), asyncio.Event(), asyncio.Event()

    async def slow(_):
        asked.set()
        await stopping.wait()
        return Allowed()

    async def end():
        while hooks.bound:
            await SystemClock().sleep(0)
        for _ in range(1000):  # rounds of the loop: whoever does not wait is done by then
            await SystemClock().sleep(0)
        stopping.set()

    hooks = server(pair=pair(authority), clock=SystemClock(), drain=3600)
    hooks.validate("/v", slow)
    async with (
        aiohttp.ClientSession() as session,
        asyncio.TaskGroup() as group,
        hooks.serving() as address,
    ):
        waiting = group.create_task(post(session, address, "/v", review(), authority))
        await asked.wait()
        group.create_task(end())
    assert waiting.result()[0] == 200


@pytest.mark.realtime
async def test_files_that_change_are_served_without_a_restart(tmp_path):
    """A renewed pair is used by the next handshake; a broken one is counted and the old one kept.
    So it is when the files are moved out, or come back renamed over the old ones."""
    old, new = Authority(SystemClock()), Authority(SystemClock())
    registry = CollectorRegistry()
    metrics = WebhookMetrics(registry)
    crt, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificates = FileCertificates(crt, key, clock=SystemClock(), metrics=metrics)
    hooks = WebhookServer(
        certificates,
        clock=SystemClock(),
        registry=registry,
        metrics=metrics,
        options=WebhookOptions(bind_address="127.0.0.1:0"),
    )
    hooks.validate("/v", lambda request: Allowed())

    def write(found):
        crt.write_bytes(found.certificate)
        key.write_bytes(found.key)
        certificates.read()

    certificates.read()
    assert "tls.crt" in hooks.certificates.problem()
    assert registry.get_sample_value("certwatcher_read_certificate_errors_total") == 1
    write(pair(old))
    async with hooks.serving() as address:

        async def served_by(authority):
            async with aiohttp.ClientSession() as session:
                await post(session, address, "/v", review(), authority)

        await served_by(old)
        crt.write_bytes(pair(new).certificate)
        certificates.read()  # half a change: the key does not fit yet
        await served_by(old)
        crt.rename(tmp_path / "away")
        certificates.read()
        await served_by(old)
        assert registry.get_sample_value("certwatcher_read_certificate_errors_total") == 3
        write(pair(new))
        await served_by(new)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await served_by(old)
    assert registry.get_sample_value("certwatcher_read_certificate_total") >= 5


async def test_files_are_looked_at_every_ten_seconds(tmp_path):
    """Missing files are no end: they are read when they are there."""
    registry = CollectorRegistry()
    certificates = FileCertificates(
        tmp_path / "c", tmp_path / "k", clock=LoopClock(), metrics=WebhookMetrics(registry)
    )
    running = asyncio.get_running_loop().create_task(certificates.run())
    await asyncio.sleep(35)
    made = Authority(LoopClock(datetime.now(UTC))).server(["localhost"])
    (tmp_path / "c").write_bytes(made.certificate)
    (tmp_path / "k").write_bytes(made.key)
    assert certificates.problem()
    await asyncio.sleep(10)
    assert certificates.problem() is None
    assert registry.get_sample_value("certwatcher_read_certificate_total") == 5
    running.cancel()
    await asyncio.wait([running])
