"""Prediction fees: who is paid when somebody asks the model, beside any market rule."""
