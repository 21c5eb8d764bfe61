"""Tests of the benchmark of payout rules."""
