"""Pretraining data: corpus, instances, masking, shards, records."""
