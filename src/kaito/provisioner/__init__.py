"""The cloud seam: machines, in our own words.

Belongs here: the `Cloud` protocol, its values and errors, and its implementations.
May not come in: Kubernetes, and policy (when to launch, retry or give up).
"""
