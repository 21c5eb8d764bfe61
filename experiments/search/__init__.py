"""Searches over runs: the worst attack, the cheapest parameters, and one against the other."""
