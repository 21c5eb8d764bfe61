"""Money: the ledger, and the treasury that is the one door to it."""
