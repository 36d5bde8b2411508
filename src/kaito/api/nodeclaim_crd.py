"""The definition of Karpenter's NodeClaim, for clusters that have no Karpenter.

Same names, fields and rules as Karpenter 1.7 enforces, so that what is accepted here is accepted
there; in our words, and without what only Karpenter itself uses.
"""

from typing import Any, Final

from kaito.kube.objects import Json

_QUALIFIED: Final = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*(\/))?"
    r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$"
)
_QUANTITY: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)

_WELL_KNOWN: Final = (
    "beta.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/region",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "failure-domain.beta.kubernetes.io/zone",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "node.kubernetes.io/windows-build",
)


def _rule(rule: str, message: str) -> Json:
    return {"rule": rule, "message": message}


def _listed(words: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"


_KEY_RULES: Final = [
    _rule(
        f'self in {_listed(_WELL_KNOWN)} || !self.matches("^[^/]*kubernetes[.]io/")',
        "of kubernetes.io, only well-known labels can be required",
    ),
    _rule('!self.matches("^[^/]*k8s[.]io/")', "labels of k8s.io cannot be required"),
    _rule(
        'self in ["karpenter.sh/capacity-type", "karpenter.sh/nodepool"] '
        '|| !self.matches("^[^/]*karpenter[.]sh/")',
        "of karpenter.sh, only capacity-type and nodepool can be required",
    ),
    _rule('self != "kubernetes.io/hostname"', "the host name cannot be required"),
]

_REQUIREMENT_RULES: Final = [
    _rule(
        'self.all(x, x.operator == "In" ? x.values.size() != 0 : true)',
        "operator In needs values",
    ),
    _rule(
        'self.all(x, (x.operator == "Gt" || x.operator == "Lt") '
        "? (x.values.size() == 1 && int(x.values[0]) >= 0) : true)",
        "operators Gt and Lt need one whole number",
    ),
    _rule(
        'self.all(x, (x.operator == "In" && has(x.minValues)) '
        "? x.values.size() >= x.minValues : true)",
        "minValues cannot exceed the number of values",
    ),
]


def _string(description: str, **more: Any) -> Json:
    return {"description": description, "type": "string", **more}


def _requirement() -> Json:
    return {
        "type": "object",
        "properties": {
            "key": _string(
                "The label.",
                maxLength=316,
                pattern=_QUALIFIED,
                **{"x-kubernetes-validations": _KEY_RULES},
            ),
            "operator": _string(
                "How the values are compared.",
                enum=["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"],
            ),
            "values": {
                "description": "What the label is compared with.",
                "type": "array",
                "items": {"type": "string"},
                "x-kubernetes-list-type": "atomic",
            },
            "minValues": {
                "description": "How many different values must remain possible. Alpha.",
                "type": "integer",
                "minimum": 1,
                "maximum": 50,
            },
        },
        "required": ["key", "operator"],
    }


def _taints(description: str) -> Json:
    return {
        "description": description,
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "key": _string("The taint's key.", minLength=1, pattern=_QUALIFIED),
                "value": _string("The taint's value.", pattern=_QUALIFIED),
                "effect": _string(
                    "What happens to pods that do not tolerate it.",
                    enum=["NoSchedule", "PreferNoSchedule", "NoExecute"],
                ),
                "timeAdded": _string("When it was added.", format="date-time"),
            },
            "required": ["effect", "key"],
        },
    }


def _quantities(description: str) -> Json:
    return {
        "description": description,
        "type": "object",
        "additionalProperties": {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": _QUANTITY,
            "x-kubernetes-int-or-string": True,
        },
    }


def _class_ref() -> Json:
    filled = {"rule": "self != ''"}
    return {
        "description": "The class of node, which names the provisioner that answers.",
        "type": "object",
        "properties": {
            "group": _string(
                "Its API group.",
                pattern=r"^[^/]*$",
                **{"x-kubernetes-validations": [{**filled, "message": "group may not be empty"}]},
            ),
            "kind": _string(
                "Its kind.",
                **{"x-kubernetes-validations": [{**filled, "message": "kind may not be empty"}]},
            ),
            "name": _string(
                "Its name.",
                **{"x-kubernetes-validations": [{**filled, "message": "name may not be empty"}]},
            ),
        },
        "required": ["group", "kind", "name"],
    }


def _spec() -> Json:
    return {
        "description": "What is asked for. It cannot be changed.",
        "type": "object",
        "properties": {
            "expireAfter": _string(
                "How long the node may live, or Never.",
                default="720h",
                pattern=r"^(([0-9]+(s|m|h))+|Never)$",
            ),
            "nodeClassRef": _class_ref(),
            "requirements": {
                "description": "What the machine must be, as labels.",
                "type": "array",
                "maxItems": 100,
                "items": _requirement(),
                "x-kubernetes-validations": _REQUIREMENT_RULES,
            },
            "resources": {
                "description": "What the machine must have.",
                "type": "object",
                "properties": {"requests": _quantities("The least of each resource.")},
            },
            "startupTaints": _taints("Taints that something removes before the node is ready."),
            "taints": _taints("Taints the node keeps."),
            "terminationGracePeriod": _string(
                "How long draining may take before pods are removed by force.",
                pattern=r"^([0-9]+(s|m|h))+$",
            ),
        },
        "required": ["nodeClassRef", "requirements"],
        "x-kubernetes-validations": [_rule("self == oldSelf", "spec is immutable")],
    }


def _condition() -> Json:
    return {
        "type": "object",
        "properties": {
            "type": _string("What is observed.", maxLength=316),
            "status": _string("Whether it holds.", enum=["True", "False", "Unknown"]),
            "reason": _string(
                "Why, in one word.",
                minLength=1,
                maxLength=1024,
                pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            ),
            "message": _string("Why, in a sentence.", maxLength=32768),
            "observedGeneration": {
                "description": "The generation this was observed at.",
                "type": "integer",
                "format": "int64",
                "minimum": 0,
            },
            "lastTransitionTime": _string("When the status changed.", format="date-time"),
        },
        "required": ["lastTransitionTime", "message", "reason", "status", "type"],
    }


def _status() -> Json:
    return {
        "description": "What was observed.",
        "type": "object",
        "properties": {
            "allocatable": _quantities("What pods can use of the node."),
            "capacity": _quantities("What the node has."),
            "conditions": {
                "description": "Launched, Registered, Initialized, and Ready for all three.",
                "type": "array",
                "items": _condition(),
            },
            "imageID": _string("The image the machine runs."),
            "lastPodEventTime": _string("When a pod last came or went.", format="date-time"),
            "nodeName": _string("The node."),
            "providerID": _string("The machine, as the cloud names it."),
        },
    }


def _column(name: str, path: str, type_: str = "string", *, wide: bool = False) -> Json:
    return {"name": name, "jsonPath": path, "type": type_, **({"priority": 1} if wide else {})}


_COLUMNS: Final = (
    _column("Type", r".metadata.labels.node\.kubernetes\.io/instance-type"),
    _column("Capacity", r".metadata.labels.karpenter\.sh/capacity-type"),
    _column("Zone", r".metadata.labels.topology\.kubernetes\.io/zone"),
    _column("Node", ".status.nodeName"),
    _column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
    _column("Age", ".metadata.creationTimestamp", "date"),
    _column("ImageID", ".status.imageID", wide=True),
    _column("ID", ".status.providerID", wide=True),
    _column("NodePool", r".metadata.labels.karpenter\.sh/nodepool", wide=True),
    _column("NodeClass", ".spec.nodeClassRef.name", wide=True),
    _column("Drifted", '.status.conditions[?(@.type=="Drifted")].status', wide=True),
)


def nodeclaims() -> Json:
    """The CustomResourceDefinition `nodeclaims.karpenter.sh`."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "nodeclaims.karpenter.sh"},
        "spec": {
            "group": "karpenter.sh",
            "names": {
                "categories": ["karpenter"],
                "kind": "NodeClaim",
                "listKind": "NodeClaimList",
                "plural": "nodeclaims",
                "singular": "nodeclaim",
            },
            "scope": "Cluster",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": list(_COLUMNS),
                    "schema": {
                        "openAPIV3Schema": {
                            "description": "One machine asked for, and the node it became.",
                            "type": "object",
                            "properties": {"spec": _spec(), "status": _status()},
                            "required": ["spec"],
                        }
                    },
                }
            ],
        },
    }
