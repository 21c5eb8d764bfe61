"""The rules: who is eligible, what counts as good, what is paid.

Everything here is pure: a rule is handed an observation and returns a decision. It never sees the
world, the clock or the ledger. One folder per kind of rule, one small file per rule.
"""
