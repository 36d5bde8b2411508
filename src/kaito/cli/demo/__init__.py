"""`kaito demo`: the whole job in three acts, on the embedded cluster.

command.py      the arguments
theatre.py      what every act has: cluster, operator process, screen, ledger
acts.py         what happens
ledger.py       what it would have cost, and what is left of it
process.py      the operator as a process of its own, which can be killed
files.py        the files that are applied
"""
