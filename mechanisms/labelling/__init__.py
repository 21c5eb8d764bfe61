"""Labelling rules: what answers are worth where nobody knows the truth."""
