"""Role rules: who works, validates and mines in a round."""
