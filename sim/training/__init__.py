"""What every protocol that trains models shares: data, engine, model store, local work, voting, aggregation, settlement."""
