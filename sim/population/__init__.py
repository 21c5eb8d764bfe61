"""Participants: groups, identities, presence, learners, and the utility of a round.

A device is `eligible` when the rule lets it take part, `present` when it wants to take part itself
(churners, identities in reserve), `online` when it is present and its network is up, and `active`
when its group deviates in the present round.
"""
