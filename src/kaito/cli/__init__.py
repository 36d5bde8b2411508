"""The command line: the only room that prints. Parses, calls, prints; decides nothing.

May not come in: anything that a program using kaito as a library would want.
"""

from kaito.cli.root import main

__all__ = ["main"]
