"""Fedstake: simulate decentralised federated learning with strategic participants, and see which rules survive."""
