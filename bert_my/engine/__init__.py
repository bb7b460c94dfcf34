"""Training, evaluation and prediction: towers, steps, hooks, the files of a run."""
