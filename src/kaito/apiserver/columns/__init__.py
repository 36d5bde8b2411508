"""The columns of the built-in kinds' Tables, as kubectl shows them.

Belongs here: what each cell says about an object.
May not come in: how a Table is put together or sent.
"""
