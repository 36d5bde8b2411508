"""The front of a served adapter, run as the pod runs it: a Python process with environment."""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from kaito.manifests.pod import script

pytestmark = pytest.mark.realtime


class Engine(BaseHTTPRequestHandler):
    """Speaks just enough of the OpenAI API to see what the front asks."""

    def do_GET(self):
        self._answer({"path": self.path})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        words = f"{asked['model']} heard {asked['messages'][-1]['content']}"
        self._answer({"choices": [{"message": {"role": "assistant", "content": words}}]})

    def _answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def front(engine_port):
    port = free_port()
    environment = {
        **os.environ,
        "ENGINE_PORT": str(engine_port),
        "MODEL_NAME": "tuned",
        "PORT": str(port),
    }
    process = subprocess.Popen([sys.executable, "-c", script("chat.py")], env=environment)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                assert process.poll() is None
        yield port
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def engine():
    server = HTTPServer(("127.0.0.1", 0), Engine)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(port, method, path, body=None):
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_chat_becomes_a_completion_and_the_rest_passes():
    """`/chat` takes a prompt and answers a Result; every other path reaches the engine as it is;
    a body without a prompt is refused with 400 and an example."""
    with engine() as engine_port, front(engine_port) as port:
        assert ask(port, "POST", "/chat", {"prompt": "hi"}) == (200, {"Result": "tuned heard hi"})
        assert ask(port, "GET", "/v1/models?x=1") == (200, {"path": "/v1/models?x=1"})
        status, answer = ask(port, "POST", "/chat", {"question": "hi"})

        assert status == 400
        assert "prompt" in answer["error"]


def test_an_engine_that_is_not_up_is_503():
    """While the model loads, the front says so, and its readiness probe fails."""
    with front(free_port()) as port:
        status, answer = ask(port, "GET", "/health")

        assert status == 503
        assert "engine" in answer["error"]
