"""Voting rules: what a ballot weighs, and when a proposal passes."""
