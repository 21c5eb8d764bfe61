"""Sharing Updatable Models, arXiv:1907.07247, reproduced."""
