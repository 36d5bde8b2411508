"""Machines as AKS agent pools, through the Azure SDK."""
