"""kaito: one small YAML becomes a running model on Kubernetes."""
