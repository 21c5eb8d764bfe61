"""Transforms of the updates before an aggregation rule sees them."""
