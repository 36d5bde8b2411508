"""kaito: one small YAML becomes a running model on Kubernetes."""

__version__ = "0.1.0"
