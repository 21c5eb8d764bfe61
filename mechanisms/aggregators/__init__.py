"""Aggregation rules: from the accepted updates to the next global model."""
