"""After training: export a model, and predict with it."""
