"""Text and records: readers, features, the record cache and the input pipeline."""
