"""The rendering: a Plan becomes Kubernetes objects, canonical from birth. Pure.

May not come in: clients, clocks, chance, decisions.
"""
