"""Audits of a rule: who profits from deviating, what stops it, and how sure that is."""
