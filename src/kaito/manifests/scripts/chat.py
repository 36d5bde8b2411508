"""The front of a served adapter: everything goes on to the engine, and `/chat` is translated.

`POST /chat {"prompt": "..."}` (or `{"messages": [...]}`) answers `{"Result": "..."}`. The engine
beside this process speaks only the OpenAI API, so the request becomes a chat completion.
Standard library only: it runs with the Python of whatever image serves the model.
"""

import http.client
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENGINE = ("127.0.0.1", int(os.environ["ENGINE_PORT"]))
MODEL = os.environ["MODEL_NAME"]
HOP_BY_HOP = {"connection", "host", "keep-alive", "transfer-encoding", "upgrade"}


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def engine(
        self, path: str, body: bytes | str | None, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(*ENGINE, timeout=600)
        connection.request(self.command, path, body, headers)
        return connection.getresponse()

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def chat(self, body: bytes) -> None:
        try:
            asked = json.loads(body)
            messages = asked.get("messages") or [{"role": "user", "content": asked["prompt"]}]
        except (ValueError, KeyError, AttributeError):
            self.answer(400, {"error": 'send {"prompt": "..."} or {"messages": [...]}'})
            return
        wanted = {"model": MODEL, "messages": messages, **asked.get("generate_kwargs", {})}
        reply = self.engine(
            "/v1/chat/completions", json.dumps(wanted), {"Content-Type": "application/json"}
        )
        text = reply.read()
        if reply.status != 200:
            self.answer(reply.status, {"error": text.decode("utf-8", "replace")})
            return
        self.answer(200, {"Result": json.loads(text)["choices"][0]["message"]["content"]})

    def forward(self, body: bytes | None) -> None:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
        reply = self.engine(self.path, body, headers)
        self.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while chunk := reply.read1(65536):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.path.split("?")[0] == "/chat" and self.command == "POST":
                self.chat(body)
            else:
                self.forward(body or None)
        except ConnectionRefusedError:
            self.answer(503, {"error": "the engine is not up yet"})

    do_GET = do_POST = do_DELETE = do_PUT = serve  # noqa: N815 - names the base class dictates

    def log_message(self, *_: object) -> None:
        """Requests are the engine's to log."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(os.environ["PORT"])), Front).serve_forever()
