"""An Azure Resource Manager endpoint that speaks agent pools, and the machines behind it.

Belongs here: what Azure answers, in Azure's words, and what it would have charged.
May not come in: Kubernetes objects (the machines join as Nodes in `simulator.nodes`).
"""
