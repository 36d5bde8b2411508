"""The embedded API server: a request becomes a response or a stream.

Belongs here: storage, watch, apply, custom resources, authorization, tables, discovery, and the two
doors (HTTPS and in-process). Built on `kaito.kube` alone.
May not come in: any word of Kaito's domain, and what the cluster's own controllers do.
"""
