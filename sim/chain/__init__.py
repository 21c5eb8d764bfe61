"""The simulated chain: signed transactions, hash-linked blocks, and what a device's chain says."""
