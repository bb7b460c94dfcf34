"""What is learnt: tasks, their registry and heads."""
