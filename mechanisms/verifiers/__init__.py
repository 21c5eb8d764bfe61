"""Verifiers: how a coordinator detects updates that honest training would not give."""
