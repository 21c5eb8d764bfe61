"""Sweeps: many runs from one file, their design, plan, progress and record."""
