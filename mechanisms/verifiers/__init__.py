"""How a coordinator finds out whether an update is what honest training gives; one file per way."""
