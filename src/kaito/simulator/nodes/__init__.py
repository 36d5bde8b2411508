"""Machines become Nodes, and pods bound to them are played by a kubelet made of stages.

Belongs here: what happens on nodes, as an ordinary client of any API server, embedded or real.
May not come in: what the control plane does (scheduling, controllers), and the cloud.
"""
