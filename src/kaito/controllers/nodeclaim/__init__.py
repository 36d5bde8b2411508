"""NodeClaim: from a claim to a machine that has joined, and back to none."""
