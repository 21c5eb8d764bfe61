"""The policies: what a participant does with what it sees.

Pure: a behaviour gets an observation and returns an action. One folder per role, one small file per
behaviour.
"""
