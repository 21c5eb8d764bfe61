"""Creators: which submissions they accept when they decide themselves."""
