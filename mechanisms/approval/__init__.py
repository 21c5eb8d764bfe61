"""Rules by which members of a collective replace the master model; one file each."""
