"""Training, evaluation, prediction and export around the drop-in BERT modules."""
