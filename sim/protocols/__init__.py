"""The games, one folder each.

Nothing imports one by name: `sim.registries.protocols` finds them.
"""
