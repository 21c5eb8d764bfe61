"""Voters in referenda: honest by preference, absent, for sale, or buying."""
