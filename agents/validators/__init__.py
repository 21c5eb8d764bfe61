"""Validator behaviours: which vote is cast."""
