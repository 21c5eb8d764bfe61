"""What combines with any payout rule; one file each."""
