"""Structural schemas: what a CustomResourceDefinition, or the OpenAPI of a built-in kind, says.

Belongs here: reading a schema, and pruning, defaulting and validating JSON with it, in the words of
the real API server; CEL rules; the way from a pydantic model to a schema.
May not come in: which kinds exist, where schemas are stored, requests.
"""
