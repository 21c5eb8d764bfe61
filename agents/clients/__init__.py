"""Behaviours of clients that licence a model; one file each."""
