"""The machinery: level-triggered reconciliation over a shared cache.

Belongs here: work queue, reflector, store, informers, controller, manager, leader election and its
fence, event recorder, probes, metrics, and the consistent client.
May not come in: any word of Kaito's domain; this room would run any operator.
"""
