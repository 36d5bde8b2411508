"""Pods as large clusters have them: three containers, long environments, a full status."""

_VARIABLES = 17
_SIDECARS = ("proxy", "metrics")


def pod(name: str, variables: int = _VARIABLES) -> dict:
    """About 16 KB once the API server has filled in defaults, managedFields and the status."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {
                "app.kubernetes.io/name": "storefront",
                "app.kubernetes.io/instance": "storefront-production",
                "app.kubernetes.io/part-of": "shop",
                "pod-template-hash": "7d9c5b8f6d",
                "round": "0",
            },
            "annotations": {
                "prometheus.io/scrape": "true",
                "prometheus.io/port": "9102",
                "checksum/config": "9f86d081884c7d65" * 4,
            },
        },
        "spec": {
            "terminationGracePeriodSeconds": 60,
            "nodeSelector": {"kubernetes.io/arch": "amd64", "pool": "general"},
            "tolerations": [
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
                for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
            ],
            "containers": [
                _container(container, variables) for container in ("storefront", *_SIDECARS)
            ],
            "volumes": [
                {"name": "config", "configMap": {"name": "storefront-config"}},
                {"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}},
            ],
        },
    }


def _container(name: str, variables: int) -> dict:
    return {
        "name": name,
        "image": f"registry.example.com/shop/{name}@sha256:{'5e' * 32}",
        "args": ["--config=/etc/shop/config.yaml", "--log-format=json"],
        "env": [
            {"name": f"SHOP_SETTING_{number:02d}", "value": f"{name}-value-of-setting-{number:02d}"}
            for number in range(variables)
        ],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": "250m", "memory": "512Mi"},
            "limits": {"memory": "1Gi"},
        },
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": "http"},
            "periodSeconds": 10,
            "failureThreshold": 3,
        },
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/shop", "readOnly": True},
            {"name": "cache", "mountPath": "/var/cache/shop"},
        ],
    }


def status(obj: dict) -> dict:
    """What a kubelet would say of it."""
    stamp = "2026-01-01T00:00:00Z"
    return {
        "phase": "Running",
        "hostIP": "10.0.0.7",
        "podIP": "10.1.7.23",
        "startTime": stamp,
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": stamp}
            for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        ],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": container["image"],
                "containerID": f"containerd://{'0f' * 32}",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": stamp}},
            }
            for container in obj["spec"]["containers"]
        ],
    }
