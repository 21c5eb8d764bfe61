"""Behaviours of members of a collective; one file each."""
