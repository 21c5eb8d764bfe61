"""Papers reproduced, a folder each; `driver.py` plays any of them."""
