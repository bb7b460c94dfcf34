"""The builder of pretraining data: corpus, masking, instances, shards."""
