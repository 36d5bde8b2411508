"""Conversations: requests to an API server, and what a real one answered.

`conversations/NAME.yaml` is a list of steps, `answers/NAME.json` what the real server said to each,
as recorded by `python -m tests.contract.apiserver.record`. A step is

    - POST /api/v1/namespaces/$ns/configmaps      # method, path, query
      body: {...}                                 # optional; or `text` for what is no JSON
      type: merge | json | strategic | apply      # of a PATCH; or a whole content type
      accept: table | metadata | ...              # or a whole Accept header
      user: operator                              # who asks; admin by default
      save: {version: metadata.resourceVersion}   # `$version` stands for it in later steps
      headers: {impersonate-user: someone}        # more of them
      wait: true                                  # until a definition is established and served
      until: 422                                  # ask again until that is the answer's code
      says: text                                  # ask again until the answer or a warning says it
      only: [status, items.*.metadata.name]       # the parts of the answer that matter;
                                                  # items.[kind=Pod] is the one of that kind
      about: $ns                                  # the parts of OpenAPI or discovery whose names
                                                  # contain that, without prose

What differs from run to run (uids, versions, times, drawn addresses) is told apart by order: the
first version seen is `<version 1>`, and so are all that equal it.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import yaml

from kaito.kube.transport import Request, Transport
from tests.contract.apiserver import documents, probes, ruled

HERE = Path(__file__).parent
Json = dict[str, Any]

_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
_ACCEPTS = {
    "table": "application/json;as=Table;v=v1;g=meta.k8s.io",
    "metadata": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "metadata list": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
}
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_ADDRESS = re.compile(r"10\.96\.(?!0\.1\b)\d+\.\d+")
_AGE = re.compile(r"\b\d+[smhdy](\d+[smhd])?\b")
_CURRENT = re.compile(r"current: \d+")
_NODE_PORT = re.compile(r":3\d{4}/")
_PATIENCE = 600
_PAUSE = 0.1
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


_MADE: dict[str, Callable[[], Iterator[Json]]] = {"defaults": probes.steps, "rules": ruled.steps}
"""Conversations that no file spells out."""


def names() -> list[str]:
    """Every conversation."""
    return sorted({*_MADE, *(path.stem for path in (HERE / "conversations").glob("*.yaml"))})


def steps(name: str) -> list[Json]:
    if name in _MADE:
        return list(_MADE[name]())
    found: list[Json] = yaml.safe_load((HERE / "conversations" / f"{name}.yaml").read_text())
    return found


def answers_path(name: str) -> Path:
    return HERE / "answers" / f"{name}.json"


def answers(name: str) -> list[Json]:
    found: list[Json] = json.loads(answers_path(name).read_text())
    return [owners_in_order(answer) for answer in found]


@dataclass
class Conversation:
    """One run against one server, in a namespace of its own."""

    transports: dict[str, Transport]
    """One for each user that steps name; without a name it is the admin."""
    namespace: str
    before: Callable[[Request], Awaitable[None]] | None = None
    """What a request has to wait for, if anything."""
    values: dict[str, str] = field(default_factory=dict)
    seen: dict[str, dict[str, str]] = field(default_factory=dict)

    async def hold(self, name: str) -> list[Json]:
        """Send every step; the answers, told apart by order."""
        self.values["ns"] = self.namespace
        namespace = {"metadata": {"name": self.namespace}}
        await self._send({"POST": "/api/v1/namespaces", "body": namespace})
        return [await self._step(step) for step in steps(name)]

    async def _step(self, step: Json) -> Json:
        status, headers, body = await self._ask(step)
        for _ in range(_PATIENCE):
            if _is_awaited(step, status, body, headers.get("warning", "")):
                break
            await asyncio.sleep(_PAUSE)
            status, headers, body = await self._ask(step)
        if "wait" in step:
            await self._served(body["spec"])
        for variable, path in (step.get("save") or {}).items():
            self.values[variable] = str(_pick(body, path))
            self._plain(_pick(body, path), path)
        shown: Json = {"code": status}
        if "warning" in headers:
            shown["warning"] = self._plain(headers["warning"])
        shown["body"] = self._plain(_only(body, step.get("only")))
        return owners_in_order(shown)

    async def _served(self, definition: Json) -> None:
        """An established kind is served in every version a moment later."""
        plural = definition["names"]["plural"]
        for version in definition["versions"]:
            get = {"GET": f"/apis/{definition['group']}/{version['name']}/{plural}"}
            for _ in range(_PATIENCE):
                if not version["served"] or (await self._send(get))[0] == HTTPStatus.OK:
                    break
                await asyncio.sleep(_PAUSE)

    async def _ask(self, step: Json) -> tuple[int, Json, Any]:
        """As it is sent, and of large documents the part that matters."""
        status, headers, body = await self._send(step)
        if "about" in step:
            body = documents.about(body, self._filled(step["about"]))
        return status, headers, body

    async def _send(self, step: Json) -> tuple[int, Json, Any]:
        transport = self.transports[step.get("user", "admin")]
        request = self._request(step)
        await self._prepared(request)
        response = await transport.send(request, timeout=60)
        return response.status, dict(response.headers), _decoded(response.body)

    async def _prepared(self, request: Request) -> None:
        if self.before is not None:
            await self.before(request)

    def _request(self, step: Json) -> Request:
        method = next(method for method in METHODS if method in step)
        path, _, query = self._filled(step[method]).partition("?")
        headers = {"user-agent": step.get("agent", "contract/1"), "accept": "application/json"}
        if "accept" in step:
            headers["accept"] = _ACCEPTS.get(step["accept"], step["accept"])
        headers |= step.get("headers", {})
        body = b""
        if "body" in step or "text" in step:
            text = step["text"] if "text" in step else json.dumps(step["body"])
            body = self._filled(text).encode()
            kind = step.get("type", "application/json")
            headers["content-type"] = _TYPES.get(kind, kind)
        pairs = tuple(parse_qsl(query, keep_blank_values=True))
        return Request(method=method, path=path, query=pairs, headers=headers, body=body)

    def _filled(self, text: str) -> str:
        for variable, value in sorted(self.values.items(), reverse=True):
            text = text.replace(f"${variable}", value)
        return text

    def _plain(self, value: Any, key: str = "") -> Any:
        """Without what differs from run to run."""
        if isinstance(value, dict):
            if "priority" in value and "format" in value:
                # A column: its description is prose.
                value = {k: v for k, v in value.items() if k != "description"}
            return _settled({self._text(k): self._plain(v, k) for k, v in sorted(value.items())})
        if isinstance(value, list):
            return [self._plain(child, key) for child in value]
        if isinstance(value, str):
            if key.endswith("resourceVersion") and value.isdigit():
                return self._ordinal("version", value)
            if key == "continue" and value:
                return "<token>"
            return self._text(value)
        if key == "nodePort" and isinstance(value, int) and value >= 30000:
            return "<node port>"
        return value

    def _text(self, text: str) -> str:
        text = _UID.sub(lambda match: self._ordinal("uid", match[0]), text)
        text = _TIME.sub("<time>", text)
        text = _ADDRESS.sub("<address>", text)
        text = _NODE_PORT.sub(":<port>/", text)
        if _AGE.fullmatch(text) or text.endswith(" ago)"):
            text = _AGE.sub("<age>", text)
        if "ResourceVersion" in text:
            for version, told in self.seen.get("version", {}).items():
                text = re.sub(rf"\b{version}\b", told, text)
        text = _CURRENT.sub("current: <version>", text)
        text = ruled.unnumbered(text).replace(self.namespace.capitalize(), "Ns")
        return text.replace(self.namespace, "NS")

    def _ordinal(self, kind: str, value: str) -> str:
        known = self.seen.setdefault(kind, {})
        return known.setdefault(value, f"<{kind} {len(known) + 1}>")


def _settled(value: Json) -> Json:
    """A `Status` whose causes stand in order, each once: the real server draws their order."""
    details = value.get("details")
    if not isinstance(details, dict) or not details.get("causes"):
        return value
    found = {f"{c.get('field')}: {c['message']}": c for c in details["causes"]}
    causes = [found[text] for text in sorted(found)]
    head, bracket, _ = value.get("message", "").partition(" is invalid: [")
    if bracket and value.get("reason") == "Invalid":
        value["message"] = f"{head} is invalid: [{', '.join(sorted(found))}]"
    return {**value, "details": {**details, "causes": causes}}


def owners_in_order(value: Any) -> Any:
    """Entries of managedFields are ordered by whole seconds first, so a tick may swap two."""
    if isinstance(value, dict):
        return {k: owners_in_order(v) for k, v in value.items()}
    if isinstance(value, list):
        listed = [owners_in_order(item) for item in value]
        if listed and isinstance(listed[0], dict) and "fieldsV1" in listed[0]:
            listed.sort(key=lambda one: json.dumps(one, sort_keys=True))
        return listed
    return value


def _is_awaited(step: Json, status: int, body: Any, warning: str) -> bool:
    if "wait" in step:
        return _established(body)
    if step.get("says", "") not in json.dumps(body) + warning:
        return False
    return status == step.get("until", status)


def _established(crd: Any) -> bool:
    conditions = crd["status"].get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def _decoded(body: bytes) -> Any:
    """A JSON value, the list of a stream's lines, or text."""
    text = body.decode()
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return [json.loads(line) for line in text.splitlines()]
    except ValueError:
        return text


def _pick(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def _only(value: Any, paths: list[str] | None) -> Any:
    """The parts at `paths`; everything without paths."""
    if paths is None:
        return value
    return {path: list(_reach(value, path.split("."))) for path in paths}


def _reach(value: Any, path: list[str]) -> Iterator[Any]:
    if not path:
        yield value
    elif path[0] == "*":
        for child in value if isinstance(value, list) else []:
            yield from _reach(child, path[1:])
    elif path[0].startswith("["):
        name, _, wanted = path[0].strip("[]").partition("=")
        for child in value if isinstance(value, list) else []:
            if child.get(name) == wanted:
                yield from _reach(child, path[1:])
    elif isinstance(value, dict) and path[0] in value:
        yield from _reach(value[path[0]], path[1:])
