"""NodeClaims become machines: launched, registered, initialized, repaired, terminated.

Belongs here: what Karpenter's lifecycle promises about a claim, and when to ask the cloud for what.
May not come in: a concrete cloud, and what a machine is for.
"""
