"""Studies that tune settings for a target without labels; the only place that imports optuna."""
