"""What a VM size's name says: vCPUs, and the family whose quota it uses.

Azure names sizes as family, sub-family, vCPUs, features, accelerator, version
(`Standard_NC24ads_A100_v4`); the quota family is spelled from the same parts, in the usual form
with a few exceptions, which are listed.
"""

import re
from typing import Final, NamedTuple

_SIZE: Final = re.compile(
    r"Standard_(?P<family>[A-Z]+)(?P<vcpus>\d+)(?P<features>[a-z]*)"
    r"(?:_(?!v\d+$)(?P<accelerator>[A-Z]+\d+[a-z]*))?(?:_(?P<version>v\d+))?",
    re.IGNORECASE,
)

_IRREGULAR: Final = {
    ("nc", "as", "t4", "v3"): "Standard NCASv3_T4 Family",
    ("nd", "asr", "", "v4"): "Standard NDASv4_A100 Family",
    ("nd", "amsr", "a100", "v4"): "Standard NDAMSv4_A100Family",
    ("nv", "ads", "a10", "v5"): "StandardNVADSA10v5Family",
    ("nc", "ads", "h100", "v5"): "StandardNCadsH100v5Family",
    ("nc", "s", "", ""): "standardNCFamily",
}


class Size(NamedTuple):
    """One VM size."""

    name: str
    vcpus: int
    family: str


def size_of(name: str) -> Size | None:
    """The size of that name, or None when it is not written like one."""
    found = _SIZE.fullmatch(name)
    if found is None:
        return None
    family, features = found["family"], found["features"]
    accelerator, version = found["accelerator"] or "", found["version"] or ""
    parts = (family, features, accelerator, version)
    key = (family.lower(), features.lower(), accelerator.lower(), version.lower())
    regular = f"standard{''.join(part.upper() for part in parts[:3])}{version.lower()}Family"
    return Size(name, int(found["vcpus"]), _IRREGULAR.get(key, regular))
