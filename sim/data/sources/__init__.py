"""Where data comes from: one small file per source."""
