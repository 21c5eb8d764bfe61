"""The world: the only place where time passes, money moves and models train."""
