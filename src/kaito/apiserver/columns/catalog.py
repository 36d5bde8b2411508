"""Which kind has which columns, by `plural.group`."""

from collections.abc import Mapping
from typing import Final

from kaito.apiserver.columns import kept, objects, pods, workloads
from kaito.apiserver.kinds import Column

COLUMNS: Final[Mapping[str, tuple[Column, ...]]] = {
    "namespaces": objects.NAMESPACES,
    "nodes": objects.NODES,
    "pods": pods.COLUMNS,
    "services": objects.SERVICES,
    "endpoints": objects.ENDPOINTS,
    "secrets": objects.SECRETS,
    "configmaps": objects.CONFIGMAPS,
    "serviceaccounts": objects.NAME_AND_AGE,
    "events": objects.EVENTS,
    "events.events.k8s.io": objects.EVENTS,
    "persistentvolumeclaims": objects.PERSISTENTVOLUMECLAIMS,
    "persistentvolumes": objects.PERSISTENTVOLUMES,
    "statefulsets.apps": workloads.STATEFULSETS,
    "deployments.apps": workloads.DEPLOYMENTS,
    "replicasets.apps": workloads.REPLICASETS,
    "daemonsets.apps": workloads.DAEMONSETS,
    "controllerrevisions.apps": workloads.CONTROLLERREVISIONS,
    "jobs.batch": workloads.JOBS,
    "cronjobs.batch": workloads.CRONJOBS,
    "leases.coordination.k8s.io": objects.LEASES,
    "endpointslices.discovery.k8s.io": objects.ENDPOINTSLICES,
    "roles.rbac.authorization.k8s.io": objects.CREATED,
    "clusterroles.rbac.authorization.k8s.io": objects.CREATED,
    "rolebindings.rbac.authorization.k8s.io": objects.BINDINGS,
    "clusterrolebindings.rbac.authorization.k8s.io": objects.BINDINGS,
    "storageclasses.storage.k8s.io": objects.STORAGECLASSES,
    "csidrivers.storage.k8s.io": objects.CSIDRIVERS,
    "customresourcedefinitions.apiextensions.k8s.io": objects.CREATED,
    "poddisruptionbudgets.policy": objects.POD_DISRUPTION_BUDGETS,
    "priorityclasses.scheduling.k8s.io": objects.PRIORITYCLASSES,
    "ingresses.networking.k8s.io": kept.INGRESSES,
    "ingressclasses.networking.k8s.io": kept.INGRESSCLASSES,
    "networkpolicies.networking.k8s.io": kept.NETWORKPOLICIES,
    "horizontalpodautoscalers.autoscaling": kept.AUTOSCALERS,
    "resourcequotas": kept.RESOURCEQUOTAS,
    "limitranges": objects.CREATED,
    "podtemplates": kept.PODTEMPLATES,
    "replicationcontrollers": kept.REPLICATIONCONTROLLERS,
    "runtimeclasses.node.k8s.io": kept.RUNTIMECLASSES,
}
