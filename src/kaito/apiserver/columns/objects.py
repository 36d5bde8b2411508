"""Everything else: namespaces, nodes, services, configuration, storage, events, RBAC."""

from typing import Any, Final

from kaito.apiserver.columns.cells import (
    AGE,
    NAME,
    NONE,
    UNKNOWN,
    UNSET,
    ago,
    at,
    column,
    flag,
    joined,
    labels_text,
    plain,
    text,
    wide,
)
from kaito.apiserver.kinds import Column, Moment
from kaito.apiserver.representing import created_cell
from kaito.kube.objects import Json

NAMESPACES: Final[tuple[Column, ...]] = (
    NAME,
    column("Status", text("status", "phase", empty="")),
    AGE,
)
NAME_AND_AGE: Final[tuple[Column, ...]] = (NAME, AGE)
CREATED: Final[tuple[Column, ...]] = (
    NAME,
    Column(name="Created At", type="date", cell=created_cell),
)


def _node_status(node: Json) -> str:
    conditions = at(node, "status", "conditions") or []
    ready = next((one for one in conditions if one["type"] == "Ready"), None)
    said = "Unknown"
    if ready is not None:
        said = "Ready" if ready.get("status") == "True" else "NotReady"
    return f"{said},SchedulingDisabled" if at(node, "spec", "unschedulable") else said


_ROLE: Final = "node-role.kubernetes.io/"


def _roles(node: Json) -> str:
    labels = node["metadata"].get("labels") or {}
    roles = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE)}
    if labels.get("kubernetes.io/role"):
        roles.add(labels["kubernetes.io/role"])
    return joined(sorted(role for role in roles if role)) or NONE


def _node_address(kind: str) -> Column:
    def cell(node: Json) -> str:
        addresses = at(node, "status", "addresses") or []
        return next((one["address"] for one in addresses if one["type"] == kind), NONE)

    return wide(plain(f"{kind.removesuffix('IP')}-IP", cell))


def _kernel(node: Json) -> str:
    info = at(node, "status", "nodeInfo") or {}
    version, machine = info.get("kernelVersion"), info.get("architecture")
    return (f"{version} ({machine})" if machine else str(version)) if version else UNKNOWN


NODES: Final[tuple[Column, ...]] = (
    NAME,
    plain("Status", _node_status),
    plain("Roles", _roles),
    AGE,
    column("Version", text("status", "nodeInfo", "kubeletVersion", empty="")),
    _node_address("InternalIP"),
    _node_address("ExternalIP"),
    wide(column("OS-Image", text("status", "nodeInfo", "osImage", empty=UNKNOWN))),
    wide(plain("Kernel-Version", _kernel)),
    wide(
        column(
            "Container-Runtime",
            text("status", "nodeInfo", "containerRuntimeVersion", empty=UNKNOWN),
        )
    ),
)


def _external(service: Json) -> str:
    extra = at(service, "spec", "externalIPs") or []
    match at(service, "spec", "type"):
        case "ExternalName":
            return str(at(service, "spec", "externalName") or "")
        case "LoadBalancer":
            ingress = at(service, "status", "loadBalancer", "ingress") or []
            given = [one.get("ip") or one.get("hostname") or "" for one in ingress]
            return joined([*given, *extra]) or "<pending>"
        case _:
            return joined(extra) or NONE


def _ports(service: Json) -> str:
    shown = []
    for port in at(service, "spec", "ports") or []:
        number = f"{port['port']}:{port['nodePort']}" if port.get("nodePort") else port["port"]
        shown.append(f"{number}/{port.get('protocol', 'TCP')}")
    return joined(shown) or NONE


SERVICES: Final[tuple[Column, ...]] = (
    NAME,
    column("Type", text("spec", "type", empty="")),
    column("Cluster-IP", text("spec", "clusterIP")),
    plain("External-IP", _external),
    plain("Port(s)", _ports),
    AGE,
    wide(plain("Selector", lambda obj: labels_text(at(obj, "spec", "selector")))),
)


def _endpoints(obj: Json) -> str:
    shown = [
        f"{address['ip']}:{port['port']}" if port else address["ip"]
        for subset in obj.get("subsets") or []
        for port in subset.get("ports") or [None]
        for address in subset.get("addresses") or []
    ]
    return _few(shown)


def _few(values: list[str]) -> str:
    more = f" + {len(values) - 3} more..." if len(values) > 3 else ""
    return (joined(values[:3]) + more) or NONE


ENDPOINTS: Final[tuple[Column, ...]] = (NAME, plain("Endpoints", _endpoints), AGE)


def _slice_ports(obj: Json) -> str:
    ports = [port.get("port") for port in obj.get("ports") or []]
    return _few([str(port) if port else "*" for port in ports]) if ports else UNSET


def _slice_addresses(obj: Json) -> str:
    endpoints = obj.get("endpoints") or []
    found = [address for endpoint in endpoints for address in endpoint.get("addresses") or []]
    return _few(found) if found else UNSET


ENDPOINTSLICES: Final[tuple[Column, ...]] = (
    NAME,
    column("AddressType", text("addressType", empty="")),
    plain("Ports", _slice_ports),
    plain("Endpoints", _slice_addresses),
    AGE,
)


def _entries(obj: Json) -> int:
    return len(obj.get("data") or {}) + len(obj.get("binaryData") or {})


CONFIGMAPS: Final[tuple[Column, ...]] = (NAME, plain("Data", _entries), AGE)
SECRETS: Final[tuple[Column, ...]] = (
    NAME,
    column("Type", text("type", empty="")),
    plain("Data", lambda obj: len(obj.get("data") or {})),
    AGE,
)

_MODES: Final = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def _modes(modes: list[str] | None) -> str:
    return joined(short for mode, short in _MODES.items() if mode in (modes or []))


def _claim_status(claim: Json) -> str:
    if claim["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return str(at(claim, "status", "phase") or "")


def _claim_capacity(claim: Json) -> str:
    return str(at(claim, "status", "capacity", "storage") or "") if _volume(claim) else ""


def _volume(claim: Json) -> str:
    return str(at(claim, "spec", "volumeName") or "")


PERSISTENTVOLUMECLAIMS: Final[tuple[Column, ...]] = (
    NAME,
    plain("Status", _claim_status),
    plain("Volume", _volume),
    plain("Capacity", _claim_capacity),
    plain(
        "Access Modes",
        lambda obj: _modes(at(obj, "status", "accessModes")) if _volume(obj) else "",
    ),
    column("StorageClass", text("spec", "storageClassName", empty="")),
    column("VolumeAttributesClass", text("spec", "volumeAttributesClassName", empty=UNSET)),
    AGE,
    wide(column("VolumeMode", text("spec", "volumeMode", empty=UNSET))),
)


def _claim_of(volume: Json) -> str:
    reference = at(volume, "spec", "claimRef")
    return f"{reference.get('namespace', '')}/{reference.get('name', '')}" if reference else ""


PERSISTENTVOLUMES: Final[tuple[Column, ...]] = (
    NAME,
    column("Capacity", text("spec", "capacity", "storage", empty="")),
    plain("Access Modes", lambda obj: _modes(at(obj, "spec", "accessModes"))),
    column("Reclaim Policy", text("spec", "persistentVolumeReclaimPolicy", empty="")),
    plain("Status", _claim_status),
    plain("Claim", _claim_of),
    column("StorageClass", text("spec", "storageClassName", empty="")),
    column("VolumeAttributesClass", text("spec", "volumeAttributesClassName", empty=UNSET)),
    column("Reason", text("status", "reason", empty="")),
    AGE,
    wide(column("VolumeMode", text("spec", "volumeMode", empty=UNSET))),
)


def _times(event: Json) -> tuple[str | None, str | None]:
    """When an event was first and last seen, whichever way its writer tells it."""
    when = event.get("eventTime")
    first = event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or when
    last = event.get("lastTimestamp") or event.get("deprecatedLastTimestamp")
    series = event.get("series") or {}
    return first, series.get("lastObservedTime") or last or first


def _about(event: Json) -> Json:
    return event.get("involvedObject") or event.get("regarding") or {}


def _object(event: Json) -> str:
    about = _about(event)
    kind, name = str(about.get("kind", "")).lower(), about.get("name", "")
    return f"{kind}/{name}" if name else kind


def _source(event: Json) -> str:
    source = event.get("source") or event.get("deprecatedSource") or {}
    component = source.get("component") or event.get("reportingComponent")
    component = component or event.get("reportingController") or ""
    host = source.get("host") or event.get("reportingInstance") or ""
    return f"{component}, {host}" if host else str(component)


def _count(event: Json) -> Any:
    series = event.get("series") or {}
    return series.get("count") or event.get("count") or event.get("deprecatedCount") or 1


def _note(event: Json) -> str:
    return str(event.get("message") or event.get("note") or "").strip()


def _seen(which: int) -> Any:
    def cell(event: Json, moment: Moment) -> str:
        return ago(_times(event)[which], moment)

    return cell


EVENTS: Final[tuple[Column, ...]] = (
    column("Last Seen", _seen(1)),
    column("Type", text("type", empty="")),
    column("Reason", text("reason", empty="")),
    plain("Object", _object),
    wide(plain("Subobject", lambda event: _about(event).get("fieldPath", ""))),
    wide(plain("Source", _source)),
    plain("Message", _note),
    wide(column("First Seen", _seen(0))),
    wide(plain("Count", _count)),
    Column(name="Name", format="name", priority=1, cell=NAME.cell),
)
LEASES: Final[tuple[Column, ...]] = (
    NAME,
    column("Holder", text("spec", "holderIdentity", empty="")),
    AGE,
)


def _subjects(kind: str) -> Any:
    def cell(binding: Json) -> str:
        found = [one for one in binding.get("subjects") or [] if one.get("kind") == kind]
        if kind == "ServiceAccount":
            return joined(f"{one.get('namespace', '')}/{one['name']}" for one in found)
        return joined(one["name"] for one in found)

    return cell


def _role(binding: Json) -> str:
    reference = binding.get("roleRef") or {}
    return f"{reference.get('kind', '')}/{reference.get('name', '')}"


BINDINGS: Final[tuple[Column, ...]] = (
    NAME,
    plain("Role", _role),
    AGE,
    wide(plain("Users", _subjects("User"))),
    wide(plain("Groups", _subjects("Group"))),
    wide(plain("ServiceAccounts", _subjects("ServiceAccount"))),
)


def _class_name(obj: Json) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    default = annotations.get("storageclass.kubernetes.io/is-default-class") == "true"
    return f"{obj['metadata']['name']} (default)" if default else obj["metadata"]["name"]


STORAGECLASSES: Final[tuple[Column, ...]] = (
    Column(name="Name", format="name", cell=lambda obj, _: _class_name(obj)),
    column("Provisioner", text("provisioner", empty="")),
    column("ReclaimPolicy", text("reclaimPolicy", empty="Delete")),
    column("VolumeBindingMode", text("volumeBindingMode", empty="Immediate")),
    column("AllowVolumeExpansion", flag("allowVolumeExpansion")),
    AGE,
)


def _limit(*path: str) -> Column:
    name = "Min Available" if path[-1] == "minAvailable" else "Max Unavailable"

    def cell(obj: Json) -> str:
        value = at(obj, *path)
        return "N/A" if value is None else str(value)

    return plain(name, cell)


POD_DISRUPTION_BUDGETS: Final[tuple[Column, ...]] = (
    NAME,
    _limit("spec", "minAvailable"),
    _limit("spec", "maxUnavailable"),
    plain("Allowed Disruptions", lambda o: at(o, "status", "disruptionsAllowed") or 0, "integer"),
    AGE,
)
PRIORITYCLASSES: Final[tuple[Column, ...]] = (
    NAME,
    plain("Value", lambda obj: obj.get("value") or 0, "integer"),
    plain("Global-Default", lambda obj: bool(obj.get("globalDefault")), "boolean"),
    AGE,
    plain("PreemptionPolicy", lambda o: o.get("preemptionPolicy") or "PreemptLowerPriority"),
)


def _csi_modes(driver: Json) -> str:
    return joined(at(driver, "spec", "volumeLifecycleModes") or []) or UNSET


def _token_requests(driver: Json) -> str:
    requests = at(driver, "spec", "tokenRequests") or []
    return joined(one.get("audience", "") for one in requests) or UNSET


CSIDRIVERS: Final[tuple[Column, ...]] = (
    NAME,
    column("AttachRequired", flag("spec", "attachRequired", default=True), "boolean"),
    column("PodInfoOnMount", flag("spec", "podInfoOnMount"), "boolean"),
    column("StorageCapacity", flag("spec", "storageCapacity"), "boolean"),
    plain("TokenRequests", _token_requests),
    column("RequiresRepublish", flag("spec", "requiresRepublish"), "boolean"),
    plain("Modes", _csi_modes),
    AGE,
)
