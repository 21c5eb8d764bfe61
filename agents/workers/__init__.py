"""Worker behaviours: what is submitted after local training."""
