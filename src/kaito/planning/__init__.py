"""The decision: Workspace + preset + GPU facts become a Plan, or a named refusal. Pure.

May not come in: clients, clocks, chance.
"""
