"""The will: observe, plan, render, apply, report.

Belongs here: one folder per kind; its controller reads as a table of contents.
May not come in: a concrete cloud.
"""
