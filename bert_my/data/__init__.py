"""Tables, tagged files, records and the input pipeline."""
