"""Predictor: texts in, results out, by an export alone."""

import os
import shutil

import pytest

from bert_my.common.errors import InputError
from bert_my.serving import predictor
from bert_my.tasks import base
from bert_my.text import preprocessor
from tests import helpers


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """(folder of an exported tagger that lies alone, its sentences, their tags)."""
    folder = tmp_path_factory.mktemp("tagger")
    model = helpers.write_tiny_model(folder / "model", num_hidden_layers=1)
    words = ["cat", "dog", "tree", "runs"] * 11
    sentences = [words[begin : begin + size] for begin, size in ((0, 3), (1, 39))]
    rows = [
        row
        for each in sentences
        for row in (*[(word, "B-X" if word == "cat" else "O") for word in each], ())
    ]
    data = helpers.write_rows(folder / "data" / "train.txt", rows, " ").parent
    helpers.write_rows(folder / "data" / "dev.txt", rows, " ")
    jobs = ("do_train", "do_predict", "save_for_serving")
    more = {"task_name": "ner", "learning_rate": 1e-2}
    out = folder / "out[1]"  # a pattern to TensorFlow, if nobody takes care
    helpers.run(helpers.command(model, data, out, *jobs, **more))
    path = shutil.move(helpers.version_folder(out), str(folder / "alone[1]"))
    predicted = [
        row["predicted_label"] for row in helpers.read_dicts(out / "predictions.tsv")
    ]
    shutil.rmtree(str(out))
    shutil.rmtree(str(folder / "model"))
    return path, sentences, [predicted[:3], predicted[3:]]


def test_a_text_is_split_into_tokens(tagger):
    path, sentences, tags = tagger
    with predictor.Predictor(path) as model:
        as_tokens = model.predict_texts(sentences)
        as_texts = model.predict_texts([" ".join(each) for each in sentences])
        (comma,) = model.predict_texts(["Cat, dog!"])
    assert as_tokens == as_texts
    assert [each["tokens"] for each in as_tokens] == sentences
    assert [each["tags"] for each in as_tokens] == tags
    assert comma["tokens"] == ["Cat", ",", "dog", "!"]
    assert len(comma["tags"]) == 4


def test_a_signature_with_labels_predicts_texts_alike(tagger):
    path, sentences, _ = tagger
    results = []
    for signature in (base.SERVING_DEFAULT, base.WITH_LABEL_IDS):
        with predictor.Predictor(path, signature) as model:
            results.append(model.predict_texts(sentences))
    assert results[0] == results[1]


def test_no_texts_have_no_results(tagger):
    with predictor.Predictor(tagger[0]) as model:
        assert model.predict_texts([]) == []


@pytest.mark.parametrize("text", [7, None, [], [["cat"]]])
def test_a_text_of_another_kind_is_refused(tagger, text):
    with predictor.Predictor(tagger[0]) as model, pytest.raises(InputError):
        model.predict_texts([["cat"], text])


def test_predictions_that_are_not_finite_are_refused(tagger, monkeypatch):
    """As of an export of NaN weights, which would give the first label to all."""
    with predictor.Predictor(tagger[0]) as model:
        run = model._session.run

        def with_nan(fetches, feed):
            outputs = run(fetches, feed)
            name = next(x for x in outputs if outputs[x].dtype.kind == "f")
            return {**outputs, name: outputs[name] * float("nan")}

        monkeypatch.setattr(model._session, "run", with_nan)
        with pytest.raises(InputError, match=r"alone.* are NaN or inf"):
            model.predict_texts([["cat"]])


@pytest.mark.parametrize("name", ["preprocessor.json", "postprocessor.json"])
def test_an_export_without_its_json_files_is_named(tagger, tmp_path, name):
    """As those of versions that did not write them; features are predicted as ever."""
    path, _, _ = tagger
    encoder = preprocessor.load(os.path.join(path, "assets.extra"))
    (features,) = encoder(["cat", "runs"])
    old = shutil.copytree(path, str(tmp_path / "old"))
    os.remove(os.path.join(old, "assets.extra", name))
    with predictor.Predictor(old) as model:
        with pytest.raises(InputError, match=name):
            model.predict_texts([["cat"]])
        outputs = model.predict({name: [features[name]] for name in model.inputs})
    assert outputs["label"].shape == (1, len(features["input_ids"]))
