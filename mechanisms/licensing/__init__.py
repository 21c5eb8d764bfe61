"""Rules by which licences of a model are given for offers; one file each."""
