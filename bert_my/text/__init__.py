"""What a text becomes, and what comes back; no TensorFlow."""
