"""AKS agent pools as machines, through `azure-mgmt-containerservice`.

One machine is one agent pool of virtual-machine scale sets with one node, of the same name.
Import `kaito.provisioner.azure.cloud` late: it brings the SDK with it.
"""
