"""Contributors of a data market: what they offer, claim and ask, and when."""
