"""Reproductions of papers, a folder each; `driver.py` runs any of them."""
