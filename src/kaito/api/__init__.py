"""The words: every kind and version we speak, their defaults, validation and names. Pure.

May not come in: I/O, clocks, policy.
"""
