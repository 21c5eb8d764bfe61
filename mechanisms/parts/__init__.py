"""Parts that combine with any payout rule; one file each."""
