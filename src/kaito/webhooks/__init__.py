"""Admission functions over `kaito.api`.

May not come in: reconciling, serving.
"""
