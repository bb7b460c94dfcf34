"""Real weights: the converted MiniLM gives the hidden states of Hugging Face."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import modeling
from tests import helpers


@pytest.mark.skipif(
    not helpers.MINILM.exists(), reason="scripts/get_minilm.sh was not run"
)
def test_hidden_states_equal_golden_values():
    golden = np.load(str(helpers.ROOT / "tests" / "golden" / "minilm.npz"))
    config = modeling.BertConfig.from_json_file(
        str(helpers.MINILM / "bert_config.json")
    )
    model = modeling.BertModel(
        config,
        is_training=False,
        input_ids=tf.constant(golden["input_ids"]),
        input_mask=tf.constant(golden["input_mask"]),
        token_type_ids=tf.constant(golden["segment_ids"]),
    )
    layers = [model.get_embedding_output(), *model.get_all_encoder_layers()]
    with tf.Session() as session:
        tf.train.Saver().restore(session, str(helpers.MINILM / "bert_model.ckpt"))
        sequence, pooled, cls = session.run(
            [
                model.get_sequence_output(),
                model.get_pooled_output(),
                [layer[:, 0] for layer in layers],
            ]
        )
    is_real = golden["input_mask"].astype(bool)
    np.testing.assert_allclose(
        sequence[is_real], golden["sequence_output"][is_real], atol=1e-5
    )
    np.testing.assert_allclose(pooled, golden["pooled_output"], atol=1e-5)
    np.testing.assert_allclose(cls, golden["cls_of_layers"], atol=1e-5)
