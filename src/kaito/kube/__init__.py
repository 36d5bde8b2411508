"""The wire: Kubernetes over HTTP.

Belongs here: requests and responses, objects as they travel, errors, selectors, quantities,
resource versions, credentials, clocks, and structural schemas.
May not come in: policy (a controller's retries, caches, queues) and any word of Kaito's domain.
"""
