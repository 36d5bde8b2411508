"""The world around the API server: cloud, machines, kubelet, engine, and the cluster's controllers.

Belongs here: two groups that start separately, `nodes` (also beside a real API server) and
`control-plane` (embedded only), the ARM endpoint and its faults.
May not come in: anything that the operator would need in production.
"""
