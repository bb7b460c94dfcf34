"""Models for vocabularies into which words were put."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import modeling
from bert_my.common.errors import InputError
from bert_my.model import checkpoints, pretrained
from bert_my.text import vocabulary
from tests import helpers

EMBEDDINGS = "bert/embeddings/word_embeddings"
OUTPUT_BIAS = "cls/predictions/output_bias"
# What a training run leaves in a checkpoint beside the weights.
BESIDE = {
    f"{EMBEDDINGS}/adam_m": np.ones([30, 32], np.float32),
    f"{EMBEDDINGS}/adam_v": np.ones([30, 32], np.float32),
    "global_step": np.int64(7),
    "data_position": np.int64(28),
    "global_batch_size": np.int64(4),
    "loss_scale/scale": np.float32(2.0),
    "loss_scale/num_good_steps": np.int64(7),
}


@pytest.fixture
def model(tmp_path):
    """`ModelFiles` of a tiny model whose vocabulary has one free place."""
    folder = helpers.write_tiny_model(tmp_path / "model", num_hidden_layers=1)
    lines = [*helpers.read_lines(folder / "vocab.txt"), "[unused1]"]
    settings = {**helpers.CONFIG, "num_hidden_layers": 1}
    config = modeling.BertConfig(vocab_size=len(lines), **settings)
    return pretrained.write(str(folder), lines, config, make_weights(config))


def make_weights(config):
    """Returns random weights of a BERT with the head that predicts words."""
    with tf.Graph().as_default():
        modeling.BertModel(config, False, tf.zeros([1, 2], tf.int32))
        shapes = {v.op.name: v.shape.as_list() for v in tf.global_variables()}
    shapes[OUTPUT_BIAS] = [config.vocab_size]
    shapes["cls/seq_relationship/output_bias"] = [2]
    rng = np.random.RandomState(0)
    return {
        name: rng.randn(*shape).astype(np.float32) for name, shape in shapes.items()
    }


def add(model, tmp_path, *words):
    """Returns the `AddedWords` of a model."""
    path = tmp_path / "words.txt"
    path.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    return vocabulary.add_words(read_tokenizer(model), str(path))


def read_tokenizer(model):
    config = pretrained.read_bert_config(model.bert_config_file)
    return vocabulary.read_tokenizer(model.vocab_file, True, config.vocab_size)


def write_model(model, tmp_path, added, checkpoint):
    config = pretrained.read_bert_config(model.bert_config_file)
    return pretrained.write_with_added_words(
        str(tmp_path / "new"), added, config, checkpoint
    )


def read(checkpoint):
    reader = tf.train.load_checkpoint(checkpoint)
    shapes = reader.get_variable_to_shape_map()
    return {name: reader.get_tensor(name) for name in shapes}


def test_rows_of_added_words_are_the_mean_of_their_pieces(model, tmp_path):
    # One word in the free place, one at the end, one of pieces that are not known.
    added = add(model, tmp_path, "Treeing", "dogss", "xyz")
    new = write_model(model, tmp_path, added, model.init_checkpoint)
    tokenizer = read_tokenizer(new)
    texts = ["TREEING dogss", "xyz trees"]
    tree, dog, s, ing = tokenizer.convert_tokens_to_ids(["tree", "dog", "##s", "##ing"])
    assert [list(encoding.ids) for encoding in tokenizer.encode_batch(texts)] == [
        [29, 30],
        [31, tree, s],
    ]
    old_weights, weights = read(model.init_checkpoint), read(new.init_checkpoint)
    expected = dict(old_weights)
    for name in (EMBEDDINGS, OUTPUT_BIAS):
        rows = old_weights[name]
        means = [(rows[tree] + rows[ing]) / 2, (rows[dog] + 2 * rows[s]) / 3, rows[1]]
        expected[name] = np.concatenate([rows[:29], means])
    # The sum of three float32 is rounded in another order.
    helpers.assert_all_close(weights, expected, atol=1e-6)
    np.testing.assert_array_equal(weights[EMBEDDINGS][:29], expected[EMBEDDINGS][:29])


def test_words_at_the_end_take_the_rows_of_the_padding(model, tmp_path):
    """The model has two rows without a token; two words are added, then four."""
    settings = {**helpers.CONFIG, "num_hidden_layers": 1}
    config = modeling.BertConfig(vocab_size=32, **settings)
    lines = helpers.read_lines(model.vocab_file)
    padded = pretrained.write(str(tmp_path), lines, config, make_weights(config))
    old = read(padded.init_checkpoint)[EMBEDDINGS]
    for words, size in (
        (["treeing", "dogss"], 32),
        (["treeing", "dogss", "ss", "as"], 33),
    ):
        new = write_model(
            padded, tmp_path, add(padded, tmp_path, *words), padded.init_checkpoint
        )
        assert pretrained.read_bert_config(new.bert_config_file).vocab_size == size
        rows = read(new.init_checkpoint)[EMBEDDINGS]
        assert len(rows) == size
        np.testing.assert_array_equal(rows[:29], old[:29])
        assert len(read_tokenizer(new).vocab) == 29 + len(words)


def test_the_model_can_be_used(model, tmp_path):
    added = add(model, tmp_path, "dogss", "treeing")
    new = write_model(model, tmp_path, added, model.init_checkpoint)
    config = pretrained.read_bert_config(new.bert_config_file)
    assert config.vocab_size == 31
    settings = pretrained.read_bert_config(model.bert_config_file).to_dict()
    assert config.to_dict() == {**settings, "vocab_size": 31}
    bert = modeling.BertModel(config, False, tf.constant([[2, 29, 30, 3]]))
    restore = checkpoints.restore_initial(
        new.init_checkpoint, tf.trainable_variables(), is_strict=True
    )
    with tf.Session() as session:
        restore.run(session)
        table = session.run(bert.get_embedding_table())
        assert np.isfinite(session.run(bert.get_pooled_output())).all()
    np.testing.assert_array_equal(table, read(new.init_checkpoint)[EMBEDDINGS])


def test_only_weights_are_taken_from_a_run_and_averages_for_them(model, tmp_path):
    weights = read(model.init_checkpoint)
    averages = {f"{EMBEDDINGS}/average": weights[EMBEDDINGS] + 1.0}
    checkpoint = str(tmp_path / "model.ckpt-7")
    checkpoints.write({**weights, **BESIDE, **averages}, checkpoint)
    new = write_model(model, tmp_path, add(model, tmp_path, "treeing"), checkpoint)
    written = read(new.init_checkpoint)
    assert set(written) == set(weights)
    np.testing.assert_array_equal(
        written[EMBEDDINGS][:29], weights[EMBEDDINGS][:29] + 1.0
    )
    pieces = read_tokenizer(model).convert_tokens_to_ids(["tree", "##ing"])
    mean = weights[EMBEDDINGS][pieces].astype(float).mean(axis=0) + 1.0
    np.testing.assert_allclose(written[EMBEDDINGS][29], mean, atol=1e-6)


def test_a_model_without_the_head_that_predicts_words(model, tmp_path):
    weights = read(model.init_checkpoint)
    del weights[OUTPUT_BIAS]
    checkpoint = str(tmp_path / "bert_model.ckpt")
    checkpoints.write(weights, checkpoint)
    new = write_model(
        model, tmp_path, add(model, tmp_path, "dogss", "trees"), checkpoint
    )
    assert set(read(new.init_checkpoint)) == set(weights)


def test_without_a_checkpoint_there_is_none(model, tmp_path):
    new = write_model(model, tmp_path, add(model, tmp_path, "dogss", "trees"), None)
    assert new.init_checkpoint is None
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["bert_config.json", "vocab.txt"]
    assert len(read_tokenizer(new).vocab) == 31


def test_folders_in_the_places_of_files_are_moved(model, tmp_path):
    added = add(model, tmp_path, "dogss", "trees")
    names = ("vocab.txt", "bert_config.json", "bert_model.ckpt.index")
    for name in names:
        (tmp_path / "new" / name).mkdir(parents=True)
    new = write_model(model, tmp_path, added, model.init_checkpoint)
    assert EMBEDDINGS in read(new.init_checkpoint)
    assert all((tmp_path / "new" / f"{name}.moved-0").is_dir() for name in names)


@pytest.mark.parametrize("name", [EMBEDDINGS, OUTPUT_BIAS])
def test_a_checkpoint_of_another_vocabulary_is_refused(model, tmp_path, name):
    weights = read(model.init_checkpoint)
    weights[name] = weights[name][:-1]
    checkpoint = str(tmp_path / "other.ckpt")
    checkpoints.write(weights, checkpoint)
    message = (
        rf"--init_checkpoint={checkpoint}: {name} has 29 rows, but vocab_size is 30 "
        "in the --bert_config_file"
    )
    with pytest.raises(InputError, match=message):
        write_model(model, tmp_path, add(model, tmp_path, "trees"), checkpoint)
    assert not (tmp_path / "new").exists()


def test_a_checkpoint_of_something_else_is_refused(model, tmp_path):
    added = add(model, tmp_path, "trees")
    checkpoint = str(tmp_path / "other.ckpt")
    checkpoints.write({"a": np.zeros([3], np.float32)}, checkpoint)
    with pytest.raises(InputError, match=f"it lacks {EMBEDDINGS}"):
        write_model(model, tmp_path, added, checkpoint)
    with pytest.raises(
        InputError, match=r"--init_checkpoint=nowhere: there is no such"
    ):
        write_model(model, tmp_path, added, "nowhere")
