"""Workspace: from one small YAML to a model that answers."""
