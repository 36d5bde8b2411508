"""Conversations with an API server that asks webhooks.

The format is that of `tests.contract.apiserver.conversation`; besides, a step may have

    hooks: {/v: {...}}      # what the webhook does from now on: see `endpoint`
    heard: /v | not /v      # send it again until the webhook was asked at this path, or was not
    told: refused | ""      # ... until the answer has this text
    code: 201               # ... or this code
    asks: [/v, /m]          # what it was asked at these paths is part of the answer
    paths: true             # at which paths it was asked is

`$hooks` is the webhook's address, `$ca` the bundle that trusts it, `$rule` and the like are written
out where they are used. A configuration is heard of a moment after it was written: `heard` waits
for that without knowing how long it takes.
"""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kaito.kube.transport import Request
from tests.contract.apiserver import conversation
from tests.contract.apiserver.conversation import METHODS, owners_in_order
from tests.contract.webhooks.endpoint import Hooks

HERE = Path(__file__).parent
Json = dict[str, Any]
_PATIENCE = 100


def names() -> list[str]:
    """Every conversation."""
    return sorted(path.stem for path in (HERE / "conversations").glob("*.yaml"))


def steps(name: str) -> list[Json]:
    found = yaml.safe_load((HERE / "conversations" / f"{name}.yaml").read_text())
    return [step for step in found if "let" not in step]


def answers_path(name: str) -> Path:
    return HERE / "answers" / f"{name}.json"


def answers(name: str) -> list[Json]:
    found: list[Json] = json.loads(answers_path(name).read_text())
    return found


@dataclass
class Conversation(conversation.Conversation):
    """One run against one server, with a webhook beside it."""

    hooks: Hooks = field(default_factory=Hooks)
    address: str = "127.0.0.1:10250"
    bundle: str = ""
    last: Any = None
    """The body of the latest answer, whole."""

    async def hold(self, name: str) -> list[Json]:
        """Send every step; the answers, told apart by order."""
        self.values |= {"ns": self.namespace, "hooks": self.address, "ca": self.bundle}
        self.values["port"] = self.address.rpartition(":")[2]
        namespace = {"metadata": {"name": self.namespace}}
        await self._send({"POST": "/api/v1/namespaces", "body": namespace})
        return [await self._step(step) for step in steps(name)]

    async def _step(self, step: Json) -> Json:
        if "hooks" in step:
            self.hooks.script |= json.loads(self._filled(json.dumps(step["hooks"])))
        if not any(method in step for method in METHODS):
            return {}
        self.hooks.asked.clear()
        shown = await super()._step(step)
        for _ in range(_PATIENCE):
            if self._is_heard(step, shown):
                break
            await asyncio.sleep(0.1)
            self.hooks.asked.clear()
            shown = await super()._step(step)
        if "asks" in step:
            shown["asked"] = self._asked(step["asks"])
        if "paths" in step:
            shown["asked at"] = _in_order([path for path, _ in self.hooks.asked])
        return shown

    def _is_heard(self, step: Json, shown: Json) -> bool:
        if shown["code"] != step.get("code", shown["code"]):
            return False
        if step.get("told") and shown["code"] < 300:
            return False
        if step.get("told") and step["told"] not in json.dumps(self.last):
            return False
        if "heard" not in step:
            return True
        wanted, _, path = step["heard"].rpartition(" ")
        return any(path == asked for asked, _ in self.hooks.asked) != (wanted == "not")

    async def _send(self, step: Json) -> tuple[int, Json, Any]:
        answer = await super()._send(step)
        self.last = answer[2]
        return answer

    async def _prepared(self, request: Request) -> None:
        if self.before is not None:
            await self.before(request)
            # What webhooks were asked on behalf of that is nobody's business.
            self.hooks.asked.clear()

    def _asked(self, paths: list[str]) -> list[Json]:
        """Mutating webhooks (`/m`) in order; others are asked at the same time, and conversion
        webhooks as often as caches want."""
        found: list[Json] = []
        for path, review in self.hooks.asked:
            if any(path.startswith(wanted) for wanted in paths):
                request = {k: v for k, v in review["request"].items() if k != "uid"}
                one = {"path": path, "request": self._plain(owners_in_order(_unowned(request)))}
                if not (path.startswith("/convert") and one in found):
                    found.append(one)
        return sorted(found, key=lambda one: _place(one["path"]))

    def _text(self, text: str) -> str:
        if self.bundle:
            text = text.replace(self.bundle, "CA")
        port = self.values["port"]
        text = text.replace(self.address, "HOOKS").replace(f"localhost:{port}", "localhost:PORT")
        return super()._text(text)


def _unowned(request: Json) -> Json:
    """Who owns what of a thing that is not stored is of no use to anybody."""
    if request.get("kind", {}).get("kind") not in _PASSING:
        return request
    found = dict(request)
    for name in ("object", "oldObject"):
        if (found[name] or {}).get("metadata"):
            meta = {k: v for k, v in found[name]["metadata"].items() if k != "managedFields"}
            found[name] = {**found[name], "metadata": meta}
    return found


_PASSING = ("Scale", "Binding", "Eviction", "TokenRequest", "LocalSubjectAccessReview")


def _in_order(paths: list[str]) -> list[str]:
    return sorted(paths, key=_place)


def _place(path: str) -> str:
    return "" if path.startswith("/m") else path
