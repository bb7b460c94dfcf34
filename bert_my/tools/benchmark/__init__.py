"""How fast it is, and with how much memory: work, measuring, comparison."""
