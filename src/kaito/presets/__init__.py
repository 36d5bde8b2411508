"""The catalog: which models exist and the frozen blueprints they compile to. Pure.

May not come in: anything that changes a blueprint, and the network.
"""
