"""Services of protocols that train: data, engine, models, local work, votes, settlement."""
