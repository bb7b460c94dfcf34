"""A run's page and pictures, made of the files in its folder."""
