"""Behaviours of model engineers; one file each."""
