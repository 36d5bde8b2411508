"""The documents about built-in kinds are those of the real server, but for prose."""

import json
from typing import Any

import pytest

from kaito.kube.transport import Request, Transport
from tests.apiserver.support import Api
from tests.contract.apiserver.documents import Json, plain
from tests.contract.apiserver.real import plane, users
from tests.controlplane import needed

_OWN_KINDS = "x-kubernetes-group-version-kind"
_OF_ALL_GROUPS = ("DeleteOptions", "WatchEvent")
"""Which groups these are told to be of differs from one document of the real server to another."""


@pytest.mark.realtime
@pytest.mark.controlplane
async def test_what_is_published_of_built_in_kinds():
    """Every path and definition of ours is in the document of the same name, and says the same."""
    api = Api()
    compared = 0
    with plane(needed.folder()) as up:
        async with users(up) as transports:
            for where in (await api.ok("GET", "/openapi/v3"))["paths"]:
                ours = await api.ok("GET", f"/openapi/v3/{where}")
                theirs = await _read(transports["admin"], f"/openapi/v3/{where}")
                known = _parts(theirs)
                for place, part in _parts(ours).items():
                    assert part == known.get(place), (where, place)
                    compared += 1
    assert compared > 500


async def _read(transport: Transport, path: str) -> Any:
    headers = {"accept": "application/json"}
    answer = await transport.send(Request(method="GET", path=path, headers=headers), timeout=20)
    return json.loads(answer.body)


def _parts(document: Any) -> Json:
    found = {**document["paths"], **document["components"]["schemas"]}
    return {name: _wordless(plain(part, {}), name) for name, part in found.items()}


def _wordless(value: Any, name: str = "") -> Any:
    if isinstance(value, list):
        return [_wordless(item) for item in value]
    if not isinstance(value, dict):
        return value
    several = name.rpartition(".")[2] in _OF_ALL_GROUPS
    return {
        word: {n: _wordless(c) for n, c in said.items()}
        if word == "properties"
        else _wordless(said)
        for word, said in value.items()
        if not (word == "description" and isinstance(said, str))
        and not (word == _OWN_KINDS and several)
    }
