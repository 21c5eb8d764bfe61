"""Shipped models: one small file each."""
