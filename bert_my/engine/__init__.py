"""How it is trained: towers, the training loop, hooks, checkpoints and evaluation."""
