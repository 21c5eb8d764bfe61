"""The benchmark of payout rules: a frozen suite, rows, and the leaderboard: `fedstake bench`."""
