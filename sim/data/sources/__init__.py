"""Data sources: one small file per source."""
