"""The cluster's own controllers, for the embedded API server only: a file each.

Each is an ordinary controller on `kaito.framework` and talks to the API server like any client.
"""
