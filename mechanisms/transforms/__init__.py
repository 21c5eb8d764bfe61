"""Transforms: what is done to the updates before an aggregation rule sees them."""
