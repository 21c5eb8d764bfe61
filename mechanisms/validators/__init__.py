"""Validation rules: what counts as a good update."""
