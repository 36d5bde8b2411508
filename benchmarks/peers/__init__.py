"""Contestants: the same no-op operator over Pods in several frameworks, each its own process."""
