"""Computes hidden states with one modeling.py, in a process and a Python of its own.

python hidden_worker.py MODELING CONFIG CHECKPOINT INPUTS OUTPUT

INPUTS is an .npz with `input_ids`, `input_mask` and `segment_ids`, int32 `[batch_size,
seq_length]`; OUTPUT becomes an .npy, float32 `[batch_size, seq_length, hidden_size]`.
"""

import importlib.util
import os
import sys

import numpy as np
import tensorflow.compat.v1 as tf


def compute(path, config, checkpoint, features):
    """Returns the hidden states, float32 `[batch_size, seq_length, hidden_size]`.

    Args:
      path: of modeling.py.
      config: path of bert_config.json.
      checkpoint: path.
      features: dict, see above.
    """
    spec = importlib.util.spec_from_file_location("modeling", path)
    modeling = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(modeling)
    with tf.Graph().as_default(), tf.Session() as session:
        model = modeling.BertModel(
            config=modeling.BertConfig.from_json_file(config),
            is_training=False,
            input_ids=tf.constant(features["input_ids"]),
            input_mask=tf.constant(features["input_mask"]),
            token_type_ids=tf.constant(features["segment_ids"]),
            use_one_hot_embeddings=False,
        )
        tf.train.Saver(tf.global_variables()).restore(session, checkpoint)
        return session.run(model.get_sequence_output())


def main():
    path, config, checkpoint, inputs, output = sys.argv[1:]
    tf.disable_v2_behavior()
    # What the module imports may lie beside it, or beside its package.
    folder = os.path.dirname(os.path.abspath(path))
    sys.path[:0] = [folder, os.path.dirname(folder)]
    np.save(output, compute(path, config, checkpoint, np.load(inputs)))


if __name__ == "__main__":
    main()
