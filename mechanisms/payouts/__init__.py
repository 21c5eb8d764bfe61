"""Payout rules: what is paid for a block."""
