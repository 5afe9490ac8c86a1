"""What remains when training is over: a model to keep, to export and to predict with."""
