"""The built-in kinds that are served."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from kaito.apiserver import accounts, crds, events, limits, names, services, strategies
from kaito.apiserver.columns.catalog import COLUMNS
from kaito.apiserver.kinds import COLLECTION_VERBS, PLAIN, Conversion, Kind, ScalePaths, Strategy
from kaito.apiserver.policies import fill
from kaito.kube import resources
from kaito.kube.objects import Json, Resource

_ALL: Final = ("all",)
_REPLICAS: Final = ScalePaths("spec.replicas", "status.replicas", "spec.selector")
_NAMESPACE_VERBS: Final = tuple(verb for verb in COLLECTION_VERBS if verb != "deletecollection")


def _text(*path: str) -> Callable[[Json], str]:
    """A field label's value: what stands at `path`, as text."""

    def read(obj: Json) -> str:
        value: Any = obj
        for step in path:
            if not isinstance(value, dict):
                return ""
            value = value.get(step)
        if isinstance(value, bool):
            return "true" if value else "false"
        return "" if value is None else str(value)

    return read


def _flag(*path: str) -> Callable[[Json], str]:
    read = _text(*path)
    return lambda obj: read(obj) or "false"


def _number(*path: str) -> Callable[[Json], str]:
    read = _text(*path)
    return lambda obj: read(obj) or "0"


def _event_source(obj: Json) -> str:
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    return source.get("component") or obj.get("reportingComponent") or ""


_POD_FIELDS: Final[Mapping[str, Callable[[Json], str]]] = {
    "spec.nodeName": _text("spec", "nodeName"),
    "spec.restartPolicy": _text("spec", "restartPolicy"),
    "spec.schedulerName": _text("spec", "schedulerName"),
    "spec.serviceAccountName": _text("spec", "serviceAccountName"),
    "spec.hostNetwork": _flag("spec", "hostNetwork"),
    "status.phase": _text("status", "phase"),
    "status.podIP": _text("status", "podIP"),
    "status.podIPs": _text("status", "podIP"),
    "status.nominatedNodeName": _text("status", "nominatedNodeName"),
}
_REFERENCE: Final = (
    "kind",
    "namespace",
    "name",
    "uid",
    "apiVersion",
    "resourceVersion",
    "fieldPath",
)
_EVENT_FIELDS: Final[Mapping[str, Callable[[Json], str]]] = {
    **{f"involvedObject.{name}": _text("involvedObject", name) for name in _REFERENCE},
    "reason": _text("reason"),
    "reportingComponent": _text("reportingComponent"),
    "source": _event_source,
    "type": _text("type"),
}
_NEW_EVENT_FIELDS: Final[Mapping[str, Callable[[Json], str]]] = {
    **{f"regarding.{name}": _text("regarding", name) for name in _REFERENCE},
    **{f"involvedObject.{name}": _text("regarding", name) for name in _REFERENCE},
    "reason": _text("reason"),
    "reportingController": _text("reportingController"),
    "source": _event_source,
    "type": _text("type"),
}


def _kind(
    resource: Resource,
    *short: str,
    sub: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
    singular: str = "",
    verbs: tuple[str, ...] = COLLECTION_VERBS,
    scale: ScalePaths | None = None,
    strategy: Strategy = PLAIN,
    bucket: str = "",
    conversion: Conversion | None = None,
    deprecation: str = "",
) -> Kind:
    return Kind(
        resource=resource,
        singular=singular or resource.kind.lower(),
        list_kind=f"{resource.kind}List",
        bucket=bucket or resource.group_resource,
        stored=resource,
        short_names=short,
        categories=categories,
        verbs=verbs,
        subresources=sub,
        strategy=strategy,
        columns=COLUMNS.get(resource.group_resource, ()),
        scale=scale,
        conversion=conversion,
        deprecation=deprecation,
    )


_RBAC_NAMES: Final = Strategy(name=names.path_segment)
_COUNTED: Final = Strategy(generation=True)
_WORKLOAD: Final = ("status", "scale")
_R = Resource

_ENDPOINTS: Final = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"

KINDS: Final[tuple[Kind, ...]] = (
    _kind(
        resources.NAMESPACES,
        "ns",
        sub=("status", "finalize"),
        verbs=_NAMESPACE_VERBS,
        strategy=Strategy(
            name=names.dns_label,
            defaults=(strategies.namespace_label,),
            prepare=(strategies.namespace,),
            terminate=strategies.namespace_ends,
            fields={"status.phase": _text("status", "phase")},
            returns_deleted=True,
        ),
    ),
    _kind(
        resources.NODES,
        "no",
        sub=("status",),
        strategy=Strategy(
            prepare=(strategies.node,),
            keeps_status=True,
            fields={"spec.unschedulable": _flag("spec", "unschedulable")},
        ),
    ),
    _kind(
        resources.PODS,
        "po",
        sub=("status", "log", "binding", "eviction", "proxy", "exec", "attach", "portforward"),
        categories=_ALL,
        strategy=Strategy(
            admit=(limits.admit_pod, accounts.admit, strategies.admit_pod),
            verify=(limits.check_pod,),
            prepare=(strategies.pod,),
            generation=True,
            status_keeps=("ownerReferences",),
            fields=_POD_FIELDS,
            returns_deleted=True,
            graceful=True,
        ),
    ),
    _kind(
        resources.SERVICES,
        "svc",
        sub=("status", "proxy"),
        categories=_ALL,
        strategy=Strategy(
            name=names.dns_label,
            prepare=(services.service,),
            fields={
                "spec.clusterIP": _text("spec", "clusterIP"),
                "spec.type": _text("spec", "type"),
            },
            returns_deleted=True,
        ),
    ),
    _kind(resources.ENDPOINTS, "ep", singular="endpoints", deprecation=_ENDPOINTS),
    _kind(
        resources.SECRETS,
        strategy=Strategy(prepare=(strategies.secret,), fields={"type": _text("type")}),
    ),
    _kind(resources.CONFIGMAPS, "cm"),
    _kind(resources.SERVICEACCOUNTS, "sa", sub=("token",), strategy=Strategy(returns_deleted=True)),
    _kind(resources.CORE_EVENTS, "ev", strategy=Strategy(fields=_EVENT_FIELDS), bucket="events"),
    _kind(
        resources.PVCS,
        "pvc",
        sub=("status",),
        strategy=Strategy(
            verify=(limits.check_claim,), prepare=(strategies.pending,), returns_deleted=True
        ),
    ),
    _kind(
        resources.PERSISTENTVOLUMES,
        "pv",
        sub=("status",),
        strategy=Strategy(prepare=(strategies.pending,), returns_deleted=True),
    ),
    _kind(
        resources.STATEFULSETS,
        "sts",
        sub=_WORKLOAD,
        categories=_ALL,
        scale=_REPLICAS,
        strategy=_COUNTED,
    ),
    _kind(
        resources.DEPLOYMENTS,
        "deploy",
        sub=_WORKLOAD,
        categories=_ALL,
        scale=_REPLICAS,
        strategy=Strategy(generation=True, counts_annotations=True, status_keeps=("labels",)),
    ),
    _kind(
        resources.REPLICASETS,
        "rs",
        sub=_WORKLOAD,
        categories=_ALL,
        scale=_REPLICAS,
        strategy=_COUNTED,
    ),
    _kind(
        resources.DAEMONSETS,
        "ds",
        sub=("status",),
        categories=_ALL,
        strategy=Strategy(defaults=(strategies.daemonset,), generation=True),
    ),
    _kind(resources.CONTROLLERREVISIONS),
    _kind(
        resources.JOBS,
        sub=("status",),
        categories=_ALL,
        strategy=Strategy(
            prepare=(strategies.job,),
            generation=True,
            orphans=True,
            fields={"status.successful": _number("status", "succeeded")},
        ),
    ),
    _kind(resources.CRONJOBS, "cj", sub=("status",), categories=_ALL, strategy=_COUNTED),
    _kind(resources.LEASES, strategy=Strategy(creates_on_update=True)),
    _kind(resources.ENDPOINTSLICES, strategy=_COUNTED),
    _kind(
        resources.EVENTS,
        "ev",
        strategy=Strategy(fields=_NEW_EVENT_FIELDS),
        bucket="events",
        conversion=events.CONVERSION,
    ),
    _kind(_R("rbac.authorization.k8s.io", "v1", "roles", "Role"), strategy=_RBAC_NAMES),
    _kind(
        _R("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"), strategy=_RBAC_NAMES
    ),
    _kind(
        _R("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False),
        strategy=_RBAC_NAMES,
    ),
    _kind(
        _R(
            "rbac.authorization.k8s.io",
            "v1",
            "clusterrolebindings",
            "ClusterRoleBinding",
            namespaced=False,
        ),
        strategy=_RBAC_NAMES,
    ),
    _kind(resources.STORAGECLASSES, "sc", strategy=Strategy(returns_deleted=True)),
    _kind(
        _R("storage.k8s.io", "v1", "csidrivers", "CSIDriver", namespaced=False),
        strategy=Strategy(returns_deleted=True),
    ),
    *(
        _kind(
            _R("admissionregistration.k8s.io", "v1", plural, kind, namespaced=False),
            strategy=Strategy(defaults=(fill,), generation=True),
        )
        for plural, kind in (
            ("validatingadmissionpolicies", "ValidatingAdmissionPolicy"),
            ("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"),
        )
    ),
    # Kept, and nothing acts on them.
    _kind(
        _R("networking.k8s.io", "v1", "ingresses", "Ingress"),
        "ing",
        sub=("status",),
        strategy=_COUNTED,
    ),
    _kind(
        _R("networking.k8s.io", "v1", "ingressclasses", "IngressClass", namespaced=False),
        strategy=_COUNTED,
    ),
    _kind(
        _R("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
        "netpol",
        strategy=_COUNTED,
    ),
    _kind(
        _R("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
        "hpa",
        sub=("status",),
        categories=_ALL,
    ),
    _kind(
        _R("", "v1", "resourcequotas", "ResourceQuota"),
        "quota",
        sub=("status",),
        strategy=Strategy(returns_deleted=True),
    ),
    _kind(_R("", "v1", "limitranges", "LimitRange"), "limits"),
    _kind(
        _R("", "v1", "podtemplates", "PodTemplate"),
        strategy=Strategy(generation=True, returns_deleted=True),
    ),
    _kind(
        _R("", "v1", "replicationcontrollers", "ReplicationController"),
        "rc",
        sub=_WORKLOAD,
        categories=_ALL,
        scale=ScalePaths("spec.replicas", "status.replicas", ""),
        strategy=Strategy(
            defaults=(strategies.replication_controller,), generation=True, orphans=True
        ),
    ),
    _kind(_R("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", namespaced=False)),
    _kind(
        resources.VALIDATINGWEBHOOKCONFIGURATIONS,
        categories=("api-extensions",),
        strategy=_COUNTED,
    ),
    _kind(
        resources.MUTATINGWEBHOOKCONFIGURATIONS,
        categories=("api-extensions",),
        strategy=_COUNTED,
    ),
    _kind(
        resources.CRDS,
        "crd",
        "crds",
        sub=("status",),
        categories=("api-extensions",),
        strategy=Strategy(
            prepare=(crds.prepare,),
            terminate=crds.terminate,
            generation=True,
            deletion_counts=False,
            returns_deleted=True,
        ),
    ),
    _kind(resources.PODDISRUPTIONBUDGETS, "pdb", sub=("status",), strategy=_COUNTED),
    _kind(resources.PRIORITYCLASSES, "pc", strategy=_COUNTED),
    *(
        _kind(resource, verbs=("create",))
        for resource in (
            resources.SELFSUBJECTACCESSREVIEWS,
            resources.SUBJECTACCESSREVIEWS,
            _R(
                "authorization.k8s.io",
                "v1",
                "localsubjectaccessreviews",
                "LocalSubjectAccessReview",
            ),
            _R(
                "authorization.k8s.io",
                "v1",
                "selfsubjectrulesreviews",
                "SelfSubjectRulesReview",
                namespaced=False,
            ),
            resources.SELFSUBJECTREVIEWS,
            resources.TOKENREVIEWS,
        )
    ),
)
