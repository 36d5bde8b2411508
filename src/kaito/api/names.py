"""Every name that is part of the contract with users, nodes and other controllers.

Names marked *KAITO* are spelled as KAITO spells them, mixed case and all, because dashboards,
scripts and running installations match on them. The others are ours.
"""

from typing import Final


class Label:
    """Label keys."""

    WORKSPACE: Final = "kaito.sh/workspace"
    """KAITO: the Workspace an object works for; on claims, nodes, pods, Jobs and selectors."""
    WORKSPACE_NAMESPACE: Final = "kaito.sh/workspacenamespace"
    """KAITO: that Workspace's namespace; on cluster-scoped objects (claims and nodes)."""
    RAGENGINE: Final = "kaito.sh/ragengine"
    """KAITO: the RAGEngine a claim or node works for."""
    RAGENGINE_NAMESPACE: Final = "kaito.sh/ragenginenamespace"
    """KAITO: that RAGEngine's namespace."""
    MACHINE_TYPE: Final = "kaito.sh/machine-type"
    """KAITO: `gpu` or `cpu`; on agent pools and nodes."""
    CREATION_TIMESTAMP: Final = "kaito.sh/creation-timestamp"
    """KAITO: when the claim of a pool was made, as `2006-01-02T15-04-05Z`; on agent pools."""
    NODEPOOL: Final = "karpenter.sh/nodepool"
    """Karpenter: the NodePool of a claim; always `kaito` for the claims we make."""
    REGISTERED: Final = "karpenter.sh/registered"
    """Karpenter: `true` on a node that was matched with its claim."""
    INITIALIZED: Final = "karpenter.sh/initialized"
    """Karpenter: `true` on a node that is ready for pods."""
    INSTANCE_TYPE: Final = "node.kubernetes.io/instance-type"
    """Kubernetes: the machine size of a node."""
    OS: Final = "kubernetes.io/os"
    """Kubernetes: the operating system of a node."""
    SKU_NAME: Final = "karpenter.azure.com/sku-name"
    """Karpenter for Azure: the machine size asked for; a requirement of claims."""
    POD_NAME: Final = "statefulset.kubernetes.io/pod-name"
    """Kubernetes: the name of a StatefulSet's pod; the Service selects the first one by it."""
    REVISION_OWNER: Final = "workspace.kaito.io/name"
    """KAITO: the Workspace a ControllerRevision belongs to."""
    SIMULATED: Final = "kaito.sh/simulated"
    """`true` on everything that only pretends to be a machine."""


RESERVED_LABELS: Final = frozenset(
    {
        Label.WORKSPACE,
        Label.WORKSPACE_NAMESPACE,
        Label.RAGENGINE,
        Label.RAGENGINE_NAMESPACE,
        "karpenter.kaito.sh/workspace-name",
        "karpenter.kaito.sh/workspace-namespace",
        "karpenter.kaito.sh/inferenceset",
        "karpenter.kaito.sh/inferenceset-namespace",
    }
)
"""KAITO: keys of `resource.labelSelector.matchLabels` that are ours to set and so are ignored."""


class Annotation:
    """Annotation keys. Spelling and meaning of values are KAITO's where it has the key."""

    RUNTIME: Final = "kaito.sh/runtime"
    """KAITO: `vllm` (default) or `transformers`."""
    ENABLE_LB: Final = "kaito.sh/enablelb"
    """KAITO: exactly `True` makes the Service a LoadBalancer."""
    BYPASS_RESOURCE_CHECKS: Final = "kaito.sh/bypass-resource-checks"
    """KAITO: its presence, whatever the value, turns the GPU memory refusal into a warning."""
    NODE_IMAGE_FAMILY: Final = "kaito.sh/node-image-family"
    """KAITO: `ubuntu` (default) or `azurelinux`; on Workspaces and claims."""
    DISABLE_BENCHMARK: Final = "kaito.sh/disable-benchmark"
    """KAITO: exactly `true` starts the engine without the benchmark that gates readiness."""
    PERFORMANCE_MODE: Final = "kaito.sh/performance-mode"
    """KAITO: `balanced` (default), `interactivity` or `throughput`; vLLM only."""
    USE_LOCAL_WEIGHTS: Final = "kaito.sh/use-local-weights"
    """KAITO: `true` reads the weights from the node's /opt/kaito/models."""
    REVISION: Final = "workspace.kaito.io/revision"
    """KAITO: the number of the revision an object was rendered from."""
    HASH: Final = "workspace.kaito.io/hash"
    """KAITO: the hash of the inputs a ControllerRevision records."""
    DO_NOT_DISRUPT: Final = "karpenter.sh/do-not-disrupt"
    """Karpenter: `true` on claims that must not be consolidated away."""
    SERVE_AFTER_TUNING: Final = "kaito.sh/serve-after-tuning"
    """`false` ends a tuning Workspace with its Job; otherwise the tuned adapter is served."""
    UPDATE: Final = "kaito.sh/update"
    """A value that it has not had before asks for what this version of the operator renders."""
    APPLIED: Final = "kaito.sh/applied"
    """The hash of what we last applied to this object."""
    WORKSPACE_UID: Final = "kaito.sh/workspace-uid"
    """The UID of the Workspace a claim was made for: the name alone does not prove ownership."""


class Finalizer:
    """Finalizers."""

    WORKSPACE: Final = "workspace.finalizer.kaito.sh"
    """KAITO: a Workspace stays until no claim of its UID is left."""
    TERMINATION: Final = "karpenter.sh/termination"
    """Karpenter: a claim or node stays until its machine is gone."""


class ConditionType:
    """`status.conditions[].type` of a Workspace."""

    READY: Final = "Ready"
    """The Workspace does all it was asked to; the reason and message are the deepest cause."""
    RECONCILING: Final = "Reconciling"
    """Work is under way and needs nobody."""
    STALLED: Final = "Stalled"
    """Nothing will happen until somebody changes something; the message says what."""
    UPDATE_AVAILABLE: Final = "UpdateAvailable"
    """This version of the operator would render the workload differently; see the message."""
    NODECLAIM_READY: Final = "NodeClaimReady"
    """KAITO: enough claims are ready."""
    NODES_READY: Final = "NodesReady"
    """KAITO: enough nodes are ready and show their GPUs."""
    RESOURCE_READY: Final = "ResourceReady"
    """KAITO: claims and nodes are ready."""
    INFERENCE_READY: Final = "InferenceReady"
    """KAITO: the engine serves; for a tuning Workspace, the tuned adapter is served."""
    JOB_STARTED: Final = "JobStarted"
    """KAITO: the tuning Job has a running or finished pod."""
    BENCHMARK_COMPLETED: Final = "BenchmarkCompleted"
    """KAITO: the start-up benchmark has a result."""
    WORKSPACE_SUCCEEDED: Final = "WorkspaceSucceeded"
    """KAITO: everything is done; the column WORKSPACEREADY reads it."""
    WORKSPACE_DELETING: Final = "WorkspaceDeleting"
    """KAITO: the Workspace is being deleted."""


class Reason:
    """`reason` of conditions, events and refusals."""

    # The plan cannot be made: somebody has to edit the Workspace.
    INVALID: Final = "InvalidWorkspace"
    """A field is missing, contradicts another one, or has a value that cannot work."""
    OUTPUT_NOT_PUSHABLE: Final = "OutputNotPushable"
    """The tuned adapter could not be pushed where `tuning.output` says."""
    UNKNOWN_PRESET: Final = "UnknownPreset"
    """No preset has this name; the message has the nearest ones."""
    PRESET_NOT_TUNABLE: Final = "PresetNotTunable"
    """The preset exists but has no tuning parameters."""
    RUNTIME_NOT_SUPPORTED: Final = "RuntimeNotSupported"
    """The preset does not run on the runtime that `kaito.sh/runtime` names."""
    UNKNOWN_INSTANCE_TYPE: Final = "UnknownInstanceType"
    """No GPU facts are known for this machine size; the message has the nearest ones."""
    INSTANCE_TYPE_NOT_SUPPORTED: Final = "InstanceTypeNotSupported"
    """The machine has no GPU that the engine image can drive."""
    MODEL_TOO_LARGE: Final = "ModelTooLarge"
    """The model does not fit the GPUs; the message has the arithmetic."""
    CONTEXT_TOO_LONG: Final = "ContextTooLong"
    """`max-model-len` exceeds what the model can do."""
    MULTI_NODE_NOT_SERVED: Final = "MultiNodeNotServed"
    """The model needs several nodes, which this version does not serve."""
    NOT_SERVED_YET: Final = "NotServedYet"
    """A field of KAITO's API that this version does not act on."""
    CONFIG_INVALID: Final = "ConfigInvalid"
    """The referenced ConfigMap has content that cannot work."""

    # Something the Workspace refers to is not there: somebody has to create it.
    SECRET_NOT_FOUND: Final = "SecretNotFound"  # noqa: S105 - a reason, not a secret
    """A referenced Secret does not exist."""
    SECRET_KEY_MISSING: Final = "SecretKeyMissing"  # noqa: S105 - a reason
    """A referenced Secret lacks the key that is read from it."""
    CONFIGMAP_NOT_FOUND: Final = "ConfigMapNotFound"
    """A referenced ConfigMap does not exist."""
    CONFIGMAP_KEY_MISSING: Final = "ConfigMapKeyMissing"
    """A referenced ConfigMap lacks the key that is read from it."""
    NAME_CONFLICT: Final = "NameConflict"
    """An object with the name we need belongs to somebody else."""

    # Machines.
    WAITING_FOR_NODES: Final = "WaitingForNodes"
    """Machines were asked for and have not all joined yet."""
    NO_MATCHING_NODES: Final = "NoMatchingNodes"
    """Bring-your-own nodes: no node carries the labels of the selector."""
    LAUNCH_FAILED: Final = "LaunchFailed"
    """The cloud refused the machine for another reason; the message has it."""

    # Progress and success of a Workspace.
    WORKLOAD_STARTING: Final = "WorkloadStarting"
    """Nodes are ready; the workload's pods are not yet."""
    TUNING_RUNNING: Final = "TuningRunning"
    """The tuning Job is at work."""
    TUNING_FAILED: Final = "TuningFailed"
    """The tuning Job failed; the message has the container and its last words."""
    ADAPTER_STARTING: Final = "AdapterStarting"
    """Tuning is done; the server of the tuned adapter is starting."""
    READY: Final = "Ready"
    """All is done."""

    # Of UpdateAvailable, beside those of refusals.
    TAKEN_OVER: Final = "TakenOver"
    """The workload is as KAITO made it, and would be rendered differently here."""
    NEWER_RENDERING: Final = "NewerRendering"
    """An earlier version of the operator rendered the workload, and this one would differ."""
    UPDATE_WAITS: Final = "UpdateWaits"
    """An update was asked for, and others that were asked for come first."""

    # KAITO's own, per condition type.
    NODECLAIMS_READY: Final = "NodeClaimsReady"
    """KAITO, NodeClaimReady: enough claims are ready."""
    NODECLAIM_NOT_READY: Final = "NodeClaimNotReady"
    """KAITO, NodeClaimReady: some claim is not ready."""
    AWAITING_RECONCILIATION: Final = "AwaitingReconciliation"
    """Karpenter: nobody has looked at the claim yet."""
    NODES_READY: Final = "NodesReady"
    """KAITO, NodesReady: enough nodes are ready."""
    NODE_NOT_READY: Final = "NodeNotReady"
    """KAITO, NodesReady: some node is not ready."""
    NODE_PLUGINS_NOT_READY: Final = "NodePluginsNotReady"
    """KAITO, NodesReady: a node is ready but shows no GPU yet."""
    RESOURCE_READY: Final = "workspaceResourceStatusSuccess"
    """KAITO, ResourceReady."""
    RESOURCE_NOT_READY: Final = "workspaceResourceStatusNotReady"
    """KAITO, ResourceReady."""
    INFERENCE_READY: Final = "WorkspaceInferenceStatusSuccess"
    """KAITO, InferenceReady: the engine answers."""
    INFERENCE_PENDING: Final = "WorkspaceInferenceStatusPending"
    """KAITO, InferenceReady: the engine does not answer yet."""
    JOB_STARTED: Final = "WorkspaceTuningJobStatusStarted"
    """KAITO, JobStarted."""
    JOB_PENDING: Final = "WorkspaceTuningJobStatusPending"
    """KAITO, JobStarted."""
    JOB_FAILED: Final = "WorkspaceTuningJobStatusFailed"
    """KAITO, JobStarted."""
    SUCCEEDED: Final = "workspaceSucceeded"
    """KAITO, WorkspaceSucceeded."""
    PENDING: Final = "workspacePending"
    """KAITO, WorkspaceSucceeded."""
    FAILED: Final = "workspaceFailed"
    """KAITO, WorkspaceSucceeded: the tuning Job failed."""
    DELETED: Final = "workspaceDeleted"
    """KAITO, WorkspaceDeleting."""

    # KAITO's classes of pod trouble, in the order in which they are looked for.
    CONTAINER_OOM_KILLED: Final = "ContainerOOMKilled"
    """KAITO: a container was killed for using too much memory."""
    IMAGE_PULL_ERROR: Final = "ImagePullError"
    """KAITO: an image cannot be pulled."""
    CONTAINER_START_ERROR: Final = "ContainerStartError"
    """KAITO: a container cannot be created or started."""
    CONTAINER_CRASH_LOOP: Final = "ContainerCrashLoopBackOff"
    """KAITO: a container keeps failing."""
    NODE_DISK_PRESSURE: Final = "NodeDiskPressure"
    """KAITO: a pod was evicted because its node ran out of disk."""
    NODE_MEMORY_PRESSURE: Final = "NodeMemoryPressure"
    """KAITO: a pod was evicted because its node ran out of memory."""
    POD_EVICTED: Final = "PodEvicted"
    """KAITO: a pod was evicted for another reason."""
    UNSCHEDULABLE: Final = "Unschedulable"
    """KAITO: the scheduler finds no node for a pod."""

    # Events.
    NODECLAIM_CREATED: Final = "NodeClaimCreated"
    """KAITO: a machine was asked for."""
    WORKLOAD_CREATED: Final = "WorkloadCreated"
    """The StatefulSet or Job was made."""


class State:
    """`status.state`, KAITO's one-word summary."""

    PENDING: Final = "Pending"
    """Not there yet, never was."""
    READY: Final = "Ready"
    """Inference: serving."""
    NOT_READY: Final = "NotReady"
    """Inference: was serving, is not now."""
    RUNNING: Final = "Running"
    """Tuning: the Job is at work."""
    SUCCEEDED: Final = "Succeeded"
    """Tuning: the Job is done."""
    FAILED: Final = "Failed"
    """Tuning: the Job failed."""


NODEPOOL_NAME: Final = "kaito"
"""KAITO: the value of `karpenter.sh/nodepool` on every claim; no such NodePool exists."""

NODECLASS_GROUP: Final = "kaito.sh"
NODECLASS_KIND: Final = "KaitoNodeClass"
NODECLASS_NAME: Final = "default"
"""KAITO: `nodeClassRef` of a claim; only group and kind are ever looked at."""

TAINT_KEY: Final = "sku"
TAINT_VALUE: Final = "gpu"
"""KAITO: machines carry the taint `sku=gpu:NoSchedule`; our pods tolerate it."""

GPU_RESOURCE: Final = "nvidia.com/gpu"
"""The extended resource the NVIDIA device plugin offers."""

INFERENCE_CONFIG_KEY: Final = "inference_config.yaml"
"""KAITO: the key that is read from the ConfigMap of `inference.config`."""

TRAINING_CONFIG_KEY: Final = "training_config.yaml"
"""KAITO: the key that is read from the ConfigMap of `tuning.config`."""

HF_TOKEN_KEY: Final = "HF_TOKEN"  # noqa: S105 - the name of a key
"""KAITO: the key that is read from the Secret of `presetOptions.modelAccessSecret`."""

DOCKER_CONFIG_KEY: Final = ".dockerconfigjson"
"""Kubernetes: the key of a Secret of type kubernetes.io/dockerconfigjson."""
