"""What the server decides for Services: cluster addresses, families and node ports."""

from collections.abc import Callable
from ipaddress import IPv4Address, ip_address, ip_network
from random import Random
from typing import Any, Final

from kaito.apiserver.kinds import Draft
from kaito.apiserver.status import Cause, Refused, invalid, invalid_value, required_value
from kaito.apiserver.storage import Storage
from kaito.kube.objects import Json

RANGE: Final = ip_network("10.96.0.0/16")
"""Cluster addresses: kubeadm's default."""
_STATIC: Final = 256
"""Addresses at the start of the range that are given only when asked for (KEP-3070)."""
_PORTS: Final = range(30000, 32768)
_TRIES: Final = 10_000
_FAMILY_FIELDS: Final = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")


def service(draft: Draft) -> None:
    """Fill the spec of a new or changed Service. Raises 422."""
    spec = draft.obj.setdefault("spec", {})
    draft.obj.setdefault("status", {"loadBalancer": {}})
    _keep(spec, (draft.old or {}).get("spec") or {})
    causes = list(_complaints(draft, spec))
    if causes:
        raise _invalid(draft, causes)
    if spec.get("type", "ClusterIP") == "ExternalName":
        return
    _address(draft, spec)
    _families(spec)
    _node_ports(draft, spec)


def _invalid(draft: Draft, causes: list[Cause]) -> Refused:
    return invalid("", "Service", draft.obj["metadata"]["name"], causes)


def _keep(spec: Json, old: Json) -> None:
    """What the client leaves out of an update stays as it is."""
    if not old or spec.get("type") == "ExternalName":
        for field in _FAMILY_FIELDS if spec.get("type") == "ExternalName" else ():
            spec.pop(field, None)
        return
    for field in _FAMILY_FIELDS:
        if not spec.get(field) and old.get(field):
            spec[field] = old[field]
    # A change of the one clusterIP field is meant for both.
    if spec.get("clusterIP") != old.get("clusterIP") and spec.get("clusterIPs") == old.get(
        "clusterIPs"
    ):
        spec["clusterIPs"] = [spec["clusterIP"]] if spec.get("clusterIP") else []
    known = {_port_key(port): port.get("nodePort") for port in old.get("ports") or []}
    spares = [number for number in known.values() if number]
    wants = spec.get("type") in ("NodePort", "LoadBalancer")
    for port in spec.get("ports") or []:
        if not wants and port.get("nodePort") in spares:
            port.pop("nodePort")
        elif wants and not port.get("nodePort") and known.get(_port_key(port)):
            port["nodePort"] = known[_port_key(port)]


def _port_key(port: Json) -> tuple[Any, Any]:
    return port.get("protocol", "TCP"), port.get("port")


def _complaints(draft: Draft, spec: Json) -> list[Cause]:
    ports = spec.get("ports") or []
    causes: list[Cause] = []
    headless = spec.get("clusterIP") == "None" or spec.get("type") == "ExternalName"
    if not ports and not headless:
        causes.append(required_value("spec.ports", ""))
    if len(ports) > 1:
        causes += [
            required_value(f"spec.ports[{index}].name", "")
            for index, port in enumerate(ports)
            if not port.get("name")
        ]
    old = ((draft.old or {}).get("spec") or {}).get("clusterIP")
    if old and spec.get("clusterIP") != old and spec.get("type") != "ExternalName":
        value = f'["{spec.get("clusterIP")}"]'
        causes.append(invalid_value("spec.clusterIPs[0]", value, "may not change once set"))
    for index, port in enumerate(ports):
        number = port.get("nodePort")
        if number and number not in _PORTS:
            why = (
                "provided port is not in the valid range. The range of valid ports is "
                f"{_PORTS.start}-{_PORTS.stop - 1}"
            )
            causes.append(invalid_value(f"spec.ports[{index}].nodePort", str(number), why))
    return causes


def _address(draft: Draft, spec: Json) -> None:
    asked = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or []), "")
    old = ((draft.old or {}).get("spec") or {}).get("clusterIP")
    if asked and asked not in ("None", old):
        _check_asked(draft, asked)
    if not asked:
        used = _user_of(draft.storage, '"{}"')
        asked = _draw(lambda: _random_address(draft.random), used)
    spec["clusterIP"], spec["clusterIPs"] = asked, [asked]


def _check_asked(draft: Draft, asked: str) -> None:
    why = ""
    try:
        inside = ip_address(asked) in RANGE
    except ValueError:
        inside = False
    if not inside:
        why = "the provided network does not match the current range"
    elif _user_of(draft.storage, '"{}"')(asked):
        why = "provided IP is already allocated"
    if why:
        told = f"failed to allocate IP {asked}: {why}"
        raise _invalid(draft, [invalid_value("spec.clusterIPs", f'["{asked}"]', told)])


def _random_address(random: Random) -> str:
    offset = random.randrange(_STATIC, RANGE.num_addresses - 1)
    return str(IPv4Address(int(RANGE.network_address) + offset))


def _user_of(storage: Storage, form: str) -> Callable[[str], bool]:
    """Whether some Service's JSON holds a value written in this form."""
    texts = [stored.tail for stored in storage.bucket("services").scan()]

    def used(value: str) -> bool:
        needle = form.format(value).encode()
        return any(needle in text for text in texts)

    return used


def _draw(draw: Callable[[], str], used: Callable[[str], bool]) -> str:
    for _ in range(_TRIES):
        if not used(value := draw()):
            return value
    raise Refused(500, "InternalError", "failed to allocate: range is full")


def _families(spec: Json) -> None:
    spec.setdefault("sessionAffinity", "None")
    # Nobody knows the families of endpoints that no selector finds.
    open_ = spec.get("clusterIP") == "None" and not spec.get("selector")
    spec.setdefault("ipFamilies", ["IPv4", "IPv6"] if open_ else ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "RequireDualStack" if open_ else "SingleStack")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    spec.setdefault("type", "ClusterIP")


def _node_ports(draft: Draft, spec: Json) -> None:
    if spec["type"] not in ("NodePort", "LoadBalancer"):
        spec.pop("externalTrafficPolicy", None)
        spec.pop("allocateLoadBalancerNodePorts", None)
        return
    spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        if not spec["allocateLoadBalancerNodePorts"]:
            return
    used = _user_of(draft.storage, '"nodePort":{}')
    taken: set[str] = set()
    for port in spec.get("ports") or []:
        if not port.get("nodePort"):
            drawn = _draw(
                lambda: str(draft.random.choice(_PORTS)),
                lambda number: number in taken or used(number),
            )
            taken.add(drawn)
            port["nodePort"] = int(drawn)
