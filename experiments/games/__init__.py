"""Games: payoff tables of strategies, and what survives in them."""
