"""Annotators: which tasks they take, and what they answer."""
