"""Protobuf bodies, as client-go writes them."""

import base64

from kaito.apiserver import protobuf
from tests.apiserver.support import CONFIGMAPS, Api

CONFIGMAP = base64.b64decode(
    # As a real server writes ConfigMap `c1`: data a=b, binaryData x=x.
    "azhzAAoPCgJ2MRIJQ29uZmlnTWFwEsYBCrMBCgJjMRIAGgdkZWZhdWx0IgAqJGEyM2Y4ZDUyLTQ0OTQtNGRlOS1iNzI3"
    "LTRhYzRmODgzODRlMDIDOTI0OABCCAiotJLYBhAAigFoCgNjbXASBlVwZGF0ZRoCdjEiCAiotJLYBhAAMghGaWVsZHNW"
    "MTo/Cj17ImY6YmluYXJ5RGF0YSI6eyIuIjp7fSwiZjp4Ijp7fX0sImY6ZGF0YSI6eyIuIjp7fSwiZjphIjp7fX19QgAS"
    "BgoBYRIBYhoGCgF4EgF4GgAiAA=="
)


async def test_a_protobuf_body_is_read() -> None:
    """Fields without presence are dropped when they are zero; times and bytes become text."""
    obj = protobuf.decode(CONFIGMAP)
    assert (obj["apiVersion"], obj["kind"]) == ("v1", "ConfigMap")
    metadata = obj["metadata"]
    assert metadata["creationTimestamp"] == "2026-11-23T19:55:20Z"
    assert metadata["managedFields"][0]["fieldsV1"]["f:data"] == {".": {}, "f:a": {}}
    assert "generateName" not in metadata
    assert (obj["data"], obj["binaryData"]) == ({"a": "b"}, {"x": "eA=="})


async def test_a_protobuf_body_is_written() -> None:
    """What it holds is stored like any other object; the answer is JSON."""
    api = Api()
    await api.ok("POST", CONFIGMAPS, {"metadata": {"name": "c1"}})
    again = CONFIGMAP.replace(b"924", b"1  ")
    status = await api.refused("PUT", f"{CONFIGMAPS}/c1", again, content_type=protobuf.MEDIA)
    assert status["reason"] == "Conflict"


async def test_what_is_no_protobuf_is_refused() -> None:
    """400, not a crash, for bodies that are cut short."""
    api = Api()
    for body in (protobuf.MAGIC + b"\x0a", CONFIGMAP[:40]):
        status = await api.refused("POST", CONFIGMAPS, body, content_type=protobuf.MEDIA)
        assert status["code"] == 400
