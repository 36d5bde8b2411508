"""The composition root: the only room that names both controllers and a concrete cloud.

`operator` puts the operator together, `embedded` the cluster in a box it can run against. May not
come in: anything that prints, parses arguments, or decides what a Workspace needs.
"""
