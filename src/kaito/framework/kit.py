"""What a small operator imports, in one place; every name is explained where it lives.

Nothing is defined here; everything else is imported from the module that it is in.
"""

from kaito.framework.applying import ApplyOptions, NameConflict
from kaito.framework.children import Children, child
from kaito.framework.conditions import Condition, condition
from kaito.framework.controller import Controller, ControllerOptions
from kaito.framework.finalizers import add_finalizer, has_finalizer, remove_finalizer
from kaito.framework.manager import Manager
from kaito.framework.program import main
from kaito.framework.reconcile import Again, Done, Result, Terminal, annotate
from kaito.framework.reporting import report
from kaito.framework.sources import at_start, for_object, mapped, owned_by, reads
from kaito.framework.workqueue import LOW_PRIORITY
from kaito.kube.objects import Json, ObjectKey, Record, Resource
from kaito.kube.schema.definition import Column, Conditions, definition

__all__ = [
    "LOW_PRIORITY",
    "Again",
    "ApplyOptions",
    "Children",
    "Column",
    "Condition",
    "Conditions",
    "Controller",
    "ControllerOptions",
    "Done",
    "Json",
    "Manager",
    "NameConflict",
    "ObjectKey",
    "Record",
    "Resource",
    "Result",
    "Terminal",
    "add_finalizer",
    "annotate",
    "at_start",
    "child",
    "condition",
    "definition",
    "for_object",
    "has_finalizer",
    "main",
    "mapped",
    "owned_by",
    "reads",
    "remove_finalizer",
    "report",
]
