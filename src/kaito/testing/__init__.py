"""Fixtures for operators under test, ours and strangers': virtual time, and an API server.

Belongs here: what a test suite needs to run a controller against the embedded API server.
May not come in: anything that ships behaviour, and any word of Kaito's domain.
"""
