"""The operator, and the simulated machines, on a real Kubernetes control plane."""
