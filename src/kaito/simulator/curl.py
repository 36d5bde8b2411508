"""curl, interpreted: its command line is read, the request made on the cluster's network.

Nothing is executed on this machine, and nothing outside the simulated cluster can be reached. The
output and the exit codes are curl's own: 2 bad usage, 3 malformed URL, 6 unknown host, 7 refused,
22 an HTTP error with -f, 28 timeout, 47 too many redirects.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urljoin, urlsplit

from kaito.kube.clock import Clock
from kaito.kube.objects import Json
from kaito.kube.transport import Request, Response, Stream
from kaito.simulator.network import NoSuchHost, Refused, Unreachable

Send = Callable[[str, int, Request], Awaitable[Response | Stream]]
"""(host, port, request): the network, as the pod sees it."""

CONNECT_SECONDS = 134.0
"""How long Linux tries to reach an address that does not answer, with its default of 6 retries."""

AGENT = "curl/8.16.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a command line asks for. Field names are those of the long options."""

    urls: tuple[str, ...] = ()
    request: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    data: tuple[str, ...] = ()
    as_query: bool = False
    silent: bool = False
    show_error: bool = False
    fail: bool = False
    fail_with_body: bool = False
    include: bool = False
    head: bool = False
    location: bool = False
    output: str = ""
    write_out: str = ""
    max_time: float | None = None
    connect_timeout: float | None = None


class UsageError(Exception):
    """The command line is not understood; the message is curl's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    stdout: bytes
    stderr: str
    code: int


_FLAGS = {
    "-s": "silent", "--silent": "silent", "-S": "show_error", "--show-error": "show_error",
    "-f": "fail", "--fail": "fail", "--fail-with-body": "fail_with_body", "-i": "include",
    "--include": "include", "--show-headers": "include", "-I": "head", "--head": "head",
    "-L": "location", "--location": "location", "-G": "as_query", "--get": "as_query",
}  # fmt: skip
_IGNORED = {
    "-k", "--insecure", "-v", "--verbose", "-N", "--no-buffer", "-#", "--progress-bar",
    "--compressed", "-4", "-6", "--ipv4", "--http1.1", "-g", "--globoff", "-q",
    "--no-progress-meter",    "--retry-connrefused", "--retry-all-errors",
}  # fmt: skip
_VALUES = {
    "-X": "request", "--request": "request", "-H": "header", "--header": "header",
    "-d": "data", "--data": "data", "--data-ascii": "data", "--data-raw": "data",
    "--data-binary": "data", "--data-urlencode": "urlencode", "--json": "json",
    "-o": "output", "--output": "output", "-w": "write_out", "--write-out": "write_out",
    "-m": "max_time", "--max-time": "max_time", "--connect-timeout": "connect_timeout",
    "-A": "agent", "--user-agent": "agent", "-u": "user", "--user": "user", "--url": "url",
    "--retry": "", "--retry-delay": "", "--retry-max-time": "", "--proto": "", "-e": "",
}  # fmt: skip


def parse(argv: tuple[str, ...]) -> Command:
    """Read a command line without its first word. Raises UsageError."""
    command = Command()
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return replace(command, urls=(*command.urls, *rest))
        if not word.startswith("-") or word == "-":
            command = replace(command, urls=(*command.urls, word))
        elif word.startswith("--"):
            command = _option(command, word, rest, word)
        else:
            command = _short(command, word, rest)
    return command


def _short(command: Command, word: str, rest: list[str]) -> Command:
    """`-sSf`, `-XPOST`, `-X POST`."""
    letters = word[1:]
    while letters:
        name, letters = f"-{letters[0]}", letters[1:]
        if name in _VALUES and letters:
            rest.insert(0, letters)
            letters = ""
        command = _option(command, name, rest, word)
    return command


def _option(command: Command, name: str, rest: list[str], word: str) -> Command:
    if name in _FLAGS:
        return _set(command, _FLAGS[name], True)
    if name in _IGNORED:
        return command
    if name not in _VALUES:
        raise UsageError(f"option {word}: is unknown")
    if not rest:
        raise UsageError(f"option {word}: requires parameter")
    return _value(command, _VALUES[name], rest.pop(0), word)


def _set(command: Command, field_name: str, value: bool | float | str) -> Command:
    fields: Json = {field_name: value}
    return replace(command, **fields)


def _value(command: Command, option: str, value: str, word: str) -> Command:
    match option:
        case "url":
            return replace(command, urls=(*command.urls, value))
        case "header":
            name, colon, text = value.partition(":")
            header = (name.strip(), text.strip()) if colon else (name.rstrip(";"), "")
            return replace(command, headers=(*command.headers, header))
        case "agent":
            return replace(command, headers=(*command.headers, ("User-Agent", value)))
        case "user":
            token = base64.b64encode(value.encode()).decode()
            header = ("Authorization", f"Basic {token}")
            return replace(command, headers=(*command.headers, header))
        case "data" | "urlencode":
            return replace(command, data=(*command.data, _data(value, option, word)))
        case "json":
            kind = (("Content-Type", "application/json"), ("Accept", "application/json"))
            return replace(command, data=(*command.data, value), headers=(*kind, *command.headers))
        case "max_time" | "connect_timeout":
            return _set(command, option, _seconds(value, word))
        case "":
            return command
        case _:
            return _set(command, option, value)


def _data(value: str, option: str, word: str) -> str:
    if option == "urlencode":
        name, equals, text = value.partition("=")
        return f"{name}={quote(text)}" if equals and name else quote(text if equals else name)
    if value.startswith("@") and word != "--data-raw":
        raise UsageError(f"option {word}: error encountered when reading a file")
    return value


def _seconds(value: str, word: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise UsageError(f"option {word}: expected a proper numerical parameter") from None


@dataclass(slots=True, kw_only=True)
class _Run:
    """One execution: what has been printed so far."""

    command: Command
    send: Send
    clock: Clock
    stdout: list[bytes] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)

    def fail(self, code: int, message: str) -> int:
        if not self.command.silent or self.command.show_error:
            self.stderr.append(f"curl: ({code}) {message}\n")
        return code


async def run(argv: tuple[str, ...], send: Send, clock: Clock) -> Outcome:
    """Interpret `curl ARGV`; `argv` comes without the word `curl` itself."""
    try:
        command = parse(argv)
    except UsageError as error:
        text = f"curl: {error}\ncurl: try 'curl --help' for more information\n"
        return Outcome(stdout=b"", stderr=text, code=2)
    if not command.urls:
        text = "curl: (2) no URL specified\ncurl: try 'curl --help' for more information\n"
        return Outcome(stdout=b"", stderr=text, code=2)
    this = _Run(command=command, send=send, clock=clock)
    code = 0
    for url in command.urls:
        code = await _transfer(this, url)
    return Outcome(stdout=b"".join(this.stdout), stderr="".join(this.stderr), code=code)


async def _transfer(this: _Run, url: str) -> int:
    limit = this.command.max_time
    began = this.clock.monotonic()
    status, size, code = 0, 0, 0
    try:
        status, size, code = await _follow(this, url, _deadline(began, limit))
    except _Stop as stop:
        code, status = this.fail(stop.code, stop.message), stop.status
    if this.command.write_out:
        elapsed = this.clock.monotonic() - began
        this.stdout.append(_written(this.command.write_out, url, status, size, elapsed, code))
    return code


class _Stop(Exception):
    """The transfer ends with this exit code."""

    def __init__(self, code: int, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def _deadline(began: float, limit: float | None) -> float:
    return began + limit if limit else float("inf")


async def _follow(this: _Run, url: str, deadline: float) -> tuple[int, int, int]:
    """(status, bytes, exit code), after following redirects if asked to."""
    for _ in range(51):
        response, body = await _once(this, url, deadline)
        where = response.headers.get("location")
        if this.command.location and 300 <= response.status < 400 and where:
            url = urljoin(url if "://" in url else f"http://{url}", where)
            continue
        return _print(this, response, body)
    raise _Stop(47, "Maximum (50) redirects followed")


def _print(this: _Run, response: Response | Stream, body: bytes) -> tuple[int, int, int]:
    command = this.command
    failed = response.status >= 400 and (command.fail or command.fail_with_body)
    if command.include or command.head:
        lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, '')}".rstrip()]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        this.stdout.append("\r\n".join([*lines, "", ""]).encode())
    if not command.output and not (failed and not command.fail_with_body):
        this.stdout.append(body)
    if failed:
        message = f"The requested URL returned error: {response.status}"
        return response.status, len(body), this.fail(22, message)
    return response.status, len(body), 0


_REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 404: "Not Found",
    405: "Method Not Allowed", 422: "Unprocessable Entity", 429: "Too Many Requests",
    500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip


async def _once(this: _Run, url: str, deadline: float) -> tuple[Response | Stream, bytes]:
    host, port, request = _target(this.command, url)
    began = this.clock.monotonic()
    try:
        async with _timeout(this.clock, deadline - began):
            answer = await this.send(host, port, request)
            return answer, await _whole(answer)
    except TimeoutError:
        waited = int((this.clock.monotonic() - began) * 1000)
        message = f"Operation timed out after {waited} milliseconds with 0 bytes received"
        raise _Stop(28, message) from None
    except NoSuchHost:
        raise _Stop(6, f"Could not resolve host: {host}") from None
    except Refused:
        place = f"{host} port {port} after 0 ms"
        raise _Stop(7, f"Failed to connect to {place}: Could not connect to server") from None
    except Unreachable:
        reach = min(deadline - began, this.command.connect_timeout or CONNECT_SECONDS)
        await this.clock.sleep(reach)
        place = f"{host} port {port} after {int(reach * 1000)} ms"
        raise _Stop(28, f"Failed to connect to {place}: Timeout was reached") from None


def _target(command: Command, url: str) -> tuple[str, int, Request]:
    """(host, port, request) of a URL."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https"):
        raise _Stop(1, f'Protocol "{parts.scheme}" not supported')
    try:
        host, port = parts.hostname or "", parts.port or 80
    except ValueError:
        raise _Stop(3, "URL rejected: Port number was not a decimal number") from None
    if not host:
        raise _Stop(3, "URL rejected: No host part in the URL")
    if parts.scheme == "https":
        raise _Stop(35, "TLS connect error: nothing in this simulated cluster speaks TLS")
    return host, port, _request(command, parts.path or "/", parts.query, parts.netloc)


@asynccontextmanager
async def _timeout(clock: Clock, seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError inside after that long on `clock`."""
    async with asyncio.timeout(None) as scope:
        if seconds == float("inf"):
            yield
            return
        loop = asyncio.get_running_loop()
        timer = clock.call_later(seconds, lambda: scope.reschedule(loop.time()))
        try:
            yield
        finally:
            timer.cancel()


def _request(command: Command, path: str, query: str, netloc: str) -> Request:
    data = "&".join(command.data)
    if command.as_query and data:
        query, data = f"{query}&{data}" if query else data, ""
    method = "HEAD" if command.head else "POST" if command.data and not command.as_query else "GET"
    headers = {"host": netloc.rpartition("@")[2], "user-agent": AGENT, "accept": "*/*"}
    if data:
        headers["content-type"] = "application/x-www-form-urlencoded"
    headers |= {name.lower(): value for name, value in command.headers}
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return Request(
        method=command.request or method,
        path=path,
        query=tuple((name, value) for name, _, value in pairs),
        headers=headers,
        body=data.encode(),
    )


async def _whole(answer: Response | Stream) -> bytes:
    if isinstance(answer, Response):
        return answer.body
    return b"".join([chunk async for chunk in answer.chunks])


def _written(template: str, url: str, status: int, size: int, elapsed: float, code: int) -> bytes:
    values = {
        "http_code": f"{status:03d}",
        "response_code": f"{status:03d}",
        "size_download": str(size),
        "time_total": f"{elapsed:.6f}",
        "url_effective": url,
        "url": url,
        "exitcode": str(code),
    }
    text = template
    for name, value in values.items():
        text = text.replace(f"%{{{name}}}", value)
    return text.replace("\\n", "\n").replace("\\t", "\t").replace("%%", "%").encode()
