"""The EVM witness: contracts that enforce and compute the rules of a recorded run.

The driver sends what the participants did, never what they were paid; every account signs its own
calls. What the contracts pay is compared with the journal.
"""
