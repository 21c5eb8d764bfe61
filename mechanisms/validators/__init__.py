"""Validation rules: which updates count as good."""
