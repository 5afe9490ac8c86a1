"""After training: a model to keep, to export and to predict with."""
