"""Market rules: what a datum costs, who gets deposits back, who takes them."""
