"""What is measured: metrics."""
