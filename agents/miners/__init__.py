"""Miner behaviours: whether and how a candidate block is sent."""
