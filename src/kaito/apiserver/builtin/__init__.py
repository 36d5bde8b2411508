"""Built-in kinds: what a real API server told about them, and what follows from it.

Belongs here: the recorded schemas (`schemas.json`, written by `make record`), decoding and defaults
of built-in objects.
May not come in: custom kinds, requests, storage.
"""
