"""Logs and proxies: what passes through the server to whoever plays the world."""

from collections.abc import AsyncIterator
from typing import Literal

from kaito.apiserver.connectors import LogOptions
from kaito.apiserver.server import User
from kaito.kube.transport import Request, Response, Stream
from tests.apiserver.support import PODS, Api, Json, make_server

SERVICES = "/api/v1/namespaces/default/services"


class Kubelet:
    """Answers with lines, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, LogOptions]] = []
        self.closed = False

    async def logs(
        self, namespace: str, pod: str, container: str, options: LogOptions
    ) -> AsyncIterator[bytes]:
        self.asked.append((namespace, pod, container, options))
        return self._lines()

    async def _lines(self) -> AsyncIterator[bytes]:
        try:
            yield b"one\n"
            yield b"two\n"
        finally:
            self.closed = True


class Network:
    """Answers every request with what it saw of it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str, str, Request]] = []

    async def request(
        self,
        kind: Literal["services", "pods"],
        namespace: str,
        name: str,
        port: str,
        request: Request,
    ) -> Response | Stream:
        self.seen.append((kind, namespace, name, port, request))
        return Response(status=418, headers={"x-a": "b", "connection": "close"}, body=b"tea")


def _pod(**spec: object) -> Json:
    return {
        "metadata": {"name": "p"},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}], **spec},
    }


async def test_logs_come_from_the_kubelet() -> None:
    """The only container is the default one; every option is handed on."""
    server = make_server()
    server.kubelet = kubelet = Kubelet()
    api = Api(server)
    await api.ok("POST", PODS, _pod())
    query = "follow=true&tailLines=5&sinceSeconds=60&timestamps=1&previous=true"
    answer = await api.send("GET", f"{PODS}/p/log?{query}")
    assert (answer.body, answer.headers["content-type"]) == (b"one\ntwo\n", "text/plain")
    [(namespace, pod, container, options)] = kubelet.asked
    assert (namespace, pod, container) == ("default", "p", "c")
    assert options == LogOptions(
        follow=True, previous=True, tail_lines=5, since_seconds=60, timestamps=True
    )


async def test_logs_are_cut_at_the_limit() -> None:
    """limitBytes ends the stream, and the kubelet's with it."""
    server = make_server()
    server.kubelet = kubelet = Kubelet()
    api = Api(server)
    await api.ok("POST", PODS, _pod())
    assert (await api.send("GET", f"{PODS}/p/log?limitBytes=5")).body == b"one\nt"
    assert kubelet.closed


async def test_a_reader_of_logs_may_leave() -> None:
    """Closing the stream closes the kubelet's."""
    server = make_server()
    server.kubelet = kubelet = Kubelet()
    api = Api(server)
    await api.ok("POST", PODS, _pod())
    request = Request(method="GET", path=f"{PODS}/p/log", query=(("follow", "1"),))
    async with api.transport.stream(request) as stream:
        assert await anext(stream.chunks) == b"one\n"
    assert kubelet.closed


async def test_a_service_is_reached_through_the_proxy() -> None:
    """Path, query, method and body arrive; credentials and hop-by-hop headers do not."""
    server = make_server()
    server.proxy = network = Network()
    api = Api(server)
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    await api.ok("POST", SERVICES, service)
    answer = await api.send(
        "POST",
        f"{SERVICES}/http:s:80/proxy/v1/chat/completions?a=b",
        {"prompt": "x"},
        authorization="Bearer secret",
        connection="keep-alive",
    )
    assert (answer.status, answer.body, dict(answer.headers)) == (418, b"tea", {"x-a": "b"})
    [(kind, namespace, name, port, request)] = network.seen
    assert (kind, namespace, name, port) == ("services", "default", "s", "80")
    assert (request.method, request.target) == ("POST", "/v1/chat/completions?a=b")
    assert request.body == b'{"prompt": "x"}'
    assert not {"authorization", "connection"} & set(request.headers)


async def test_without_a_network_nothing_answers() -> None:
    """503 in the real server's words; 404 for a service that is not there."""
    api = Api()
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    await api.ok("POST", SERVICES, service)
    status = await api.refused("GET", f"{SERVICES}/s/proxy/")
    assert status["message"] == 'no endpoints available for service "s"'
    assert (await api.refused("GET", f"{SERVICES}/t/proxy/"))["code"] == 404


async def test_what_is_not_implemented_names_the_alternative() -> None:
    """exec, attach and port-forward are 501 with a Status that says what to do."""
    api = Api()
    await api.ok("POST", PODS, _pod())
    for part in ("exec", "attach"):
        status = await api.refused("GET", f"{PODS}/p/{part}?command=sh")
        assert (status["code"], status["reason"]) == (501, "NotImplemented")
        assert "kubectl logs -n default p" in status["message"]
    status = await api.refused("POST", f"{PODS}/p/portforward")
    assert "/proxy/" in status["message"]


async def test_attach_is_refused_when_the_container_has_ended() -> None:
    """kubectl then reads the logs once, so they are complete; what never ends is not waited for."""
    server = make_server()
    server.kubelet = kubelet = Kubelet()
    api = Api(server)
    await api.ok("POST", PODS, _pod(restartPolicy="Never"))
    await api.refused("POST", f"{PODS}/p/attach")
    assert [options for *_, options in kubelet.asked] == [LogOptions(follow=True)]
    assert kubelet.closed

    await api.ok("POST", PODS, {**_pod(), "metadata": {"name": "server"}})
    await api.refused("POST", f"{PODS}/server/attach")
    assert len(kubelet.asked) == 1


async def test_a_service_account_token_is_an_identity() -> None:
    """It is known while it lasts and its account exists, and to nobody who invents one."""
    server = make_server()
    api = Api(server)
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    await api.ok("POST", accounts, {"metadata": {"name": "s"}})
    request = {"spec": {"expirationSeconds": 600}}
    answer = await api.ok("POST", f"{accounts}/s/token", request)
    token = answer["status"]["token"]
    user = server.tokens.user(token)
    assert user is not None
    assert user.name == "system:serviceaccount:default:s"
    assert "system:serviceaccounts:default" in user.groups
    assert server.tokens.user(token[:-2] + "xx") is None
    await server.core.clock.sleep(601)
    assert server.tokens.user(token) is None
    token = (await api.ok("POST", f"{accounts}/s/token", {}))["status"]["token"]
    await api.ok("DELETE", f"{accounts}/s")
    assert server.tokens.user(token) is None


async def test_every_request_is_told() -> None:
    """Tests count requests by user, agent, verb and resource."""
    server = make_server()
    told: list[tuple[str, str, str, str, int]] = []
    server.on_request = lambda info: told.append(
        (info.user, info.user_agent, info.verb, f"{info.resource}/{info.subresource}", info.code)
    )
    await Api(server, User("u")).refused("GET", f"{PODS}/p/log")
    await Api(server).send("GET", f"{PODS}?watch=1&timeoutSeconds=1&resourceVersion=1000000")
    assert told == [
        ("u", "test/1", "get", "pods/log", 403),
        ("admin", "test/1", "watch", "pods/", 200),
    ]
