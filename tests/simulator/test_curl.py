"""The interpreted curl."""

import json

import pytest

from kaito.kube.clock import LoopClock
from kaito.kube.transport import Request, Response
from kaito.simulator import curl
from kaito.simulator.network import NoSuchHost, Refused, Unreachable

CLOSED = "Could not connect to server"


class Server:
    """Answers like a small web server, and remembers what it was asked."""

    def __init__(self) -> None:
        self.clock = LoopClock()
        self.seen: list[Request] = []

    async def send(self, host: str, port: int, request: Request) -> Response:
        match host:
            case "nowhere":
                raise NoSuchHost(host)
            case "closed":
                raise Refused(host)
            case "silent":
                raise Unreachable(host)
            case "slow":
                await self.clock.sleep(60)
        self.seen.append(request)
        match request.path:
            case "/missing":
                return Response(status=404, body=b'{"detail":"Not Found"}')
            case "/moved":
                return Response(status=307, headers={"location": "/there"})
            case _:
                return Response(status=200, headers={"x-path": request.path}, body=b"hello")

    async def curl(self, *argv: str) -> curl.Outcome:
        return await curl.run(argv, self.send, self.clock)


async def test_the_seeds_request_is_made():
    """`curl -X POST URL -H ... -d ...` posts the JSON body with the given headers."""
    server = Server()

    outcome = await server.curl(
        "-X", "POST", "http://10.96.0.7/chat", "-H", "accept: application/json",
        "-H", "Content-Type: application/json", "-d", '{"prompt":"YOUR QUESTION HERE"}',
    )  # fmt: skip

    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, b"hello", "")
    (request,) = server.seen
    assert (request.method, request.path) == ("POST", "/chat")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == "10.96.0.7"
    assert json.loads(request.body) == {"prompt": "YOUR QUESTION HERE"}


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("http://nowhere/",), 6, "curl: (6) Could not resolve host: nowhere\n"),
        (
            ("http://closed:81/",),
            7,
            f"curl: (7) Failed to connect to closed port 81 after 0 ms: {CLOSED}\n",
        ),
        (
            ("-f", "http://x/missing"),
            22,
            "curl: (22) The requested URL returned error: 404\n",
        ),
        (
            ("-m", "5", "http://slow/"),
            28,
            "curl: (28) Operation timed out after 5000 milliseconds with 0 bytes received\n",
        ),
        (
            ("--connect-timeout", "3", "http://silent/"),
            28,
            "curl: (28) Failed to connect to silent port 80 after 3000 ms: Timeout was reached\n",
        ),
        (("-s", "http://nowhere/"), 6, ""),
        (("-sS", "http://nowhere/"), 6, "curl: (6) Could not resolve host: nowhere\n"),
        (
            ("--frobnicate", "http://x/"),
            2,
            "curl: option --frobnicate: is unknown\ncurl: try 'curl --help' for more information\n",
        ),
    ],
)
async def test_failures_have_curls_own_codes(argv: tuple[str, ...], code: int, message: str):
    """Each way to fail ends with curl's exit code and, unless silenced, its message."""
    outcome = await Server().curl(*argv)

    assert (outcome.code, outcome.stderr) == (code, message)


async def test_output_options():
    """-i prints the headers, -o hides the body, -w prints the status, -L follows."""
    server = Server()

    assert (await server.curl("-i", "http://x/a")).stdout == (
        b"HTTP/1.1 200 OK\r\nx-path: /a\r\n\r\nhello"
    )
    hidden = await server.curl("-s", "-o", "/dev/null", "-w", "%{http_code}\\n", "http://x/missing")
    assert (hidden.stdout, hidden.code) == (b"404\n", 0)
    assert (await server.curl("-sL", "x/moved")).stdout == b"hello"
    assert server.seen[-1].path == "/there"
    assert (await server.curl("-G", "-d", "a=1", "-d", "b=2", "x/q?c=3")).code == 0
    assert server.seen[-1].query == (("c", "3"), ("a", "1"), ("b", "2"))


async def test_letters_may_be_joined():
    """`-sSfXPOST` is four options."""
    server = Server()

    await server.curl("-sSfXPUT", "http://x/")

    assert server.seen[-1].method == "PUT"
